#include <lenskit/detail/log/bar_text.hpp>
#include <lenskit/detail/log/text_width.hpp>

#include <support/catch.hpp>

#include <string>

using lenskit::detail::bar_line;
using lenskit::detail::bar_view;
using lenskit::detail::clipped_text;
using lenskit::detail::printable_text;
using lenskit::detail::text_width;

TEST_CASE("O2: characters take as many columns as a terminal gives them") {
  CHECK(text_width("plain") == 5);
  CHECK(text_width("übungsgruppe") == 12);
  CHECK(text_width("推荐系统") == 8);
  CHECK(text_width("レンズ") == 6);
  CHECK(text_width("한국어") == 6);
  CHECK(text_width("ＡＢ") == 4);     // full width
  CHECK(text_width("e\u0301") == 1);  // an accent of its own
  CHECK(text_width("👍") == 2);
  CHECK(text_width("a\u200d\ufeff") == 1);
  CHECK(text_width("עברית") == 5);
  CHECK(text_width("") == 0);
}

TEST_CASE("O2: bytes that are no UTF-8 take a column each and are never read past") {
  CHECK(text_width("\xff\xfe") == 2);
  CHECK(text_width("\xe6\x8e") == 2);  // cut off
  CHECK(text_width("\xe6\x8e"
                   "a") == 3);  // interrupted
  CHECK(text_width("\xf4") == 1);
  CHECK(clipped_text("\xe6\x8e", 1) == "\xe6");
}

TEST_CASE("O2: text is cut between characters, and never beyond the room there is") {
  CHECK(clipped_text("推荐", 4) == "推荐");
  CHECK(clipped_text("推荐", 3) == "推");
  CHECK(clipped_text("推荐", 1).empty());
  CHECK(clipped_text("e\u0301x", 1) == "e\u0301");  // a mark goes with what it lies on
}

TEST_CASE("O2: controls of one byte and of two become spaces") {
  CHECK(printable_text("a\x1b[2Jb\nc\x7f") == "a [2Jb c ");
  CHECK(printable_text("a\u009b2Jb") == "a 2Jb");
  CHECK(printable_text("推荐") == "推荐");
}

TEST_CASE("O2: a bar with wide characters keeps to its line at any width") {
  const bar_view view{{"推荐系统正在为全部用户计算推荐结果请稍候", 1000}, 450, {{"已分派", 12}}, 3, 150};
  for (int columns = 2; columns < 150; ++columns) {
    INFO("columns " << columns);
    CHECK(text_width(bar_line(view, {.columns = columns})) < static_cast<std::size_t>(columns));
    CHECK(text_width(bar_line(view, {.columns = columns, .unicode = true})) < static_cast<std::size_t>(columns));
  }
  CHECK(bar_line(view, {.columns = 120}).find("推荐结果请稍候:  45%|") != std::string::npos);
}
