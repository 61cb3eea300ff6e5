#include <lenskit/detail/log/bar_text.hpp>

#include <support/catch.hpp>

#include <limits>

using lenskit::detail::bar_line;
using lenskit::detail::bar_style;
using lenskit::detail::bar_view;
using lenskit::detail::erase_lines;
using lenskit::detail::plain_line;

TEST_CASE("a bar shows share, counts, times, rate and states") {
  const bar_view view{{"users", 1000}, 450, {{"dispatched", 12}, {"in-progress", 2}}, 3, 150};
  CHECK(bar_line(view, {.columns = 120}) ==
        "users:  45%|#############                 | 450/1000 [00:03<00:04, 150/s] 12 dispatched, 2 in-progress");
  CHECK(bar_line(view, {.columns = 80, .unicode = true}).find("|████▌") == std::string::npos);
  CHECK(bar_line(view, {.columns = 120, .unicode = true}).find("|█████████████▌") != std::string::npos);
}

TEST_CASE("a bar never fills the last column, whatever the width") {
  bar_view view{{"the label of an übungsgruppe", 1000}, 450, {{"dispatched", 12}}, 3, 150};
  for (const bool unicode : {false, true})
    for (int columns = 1; columns < 150; ++columns) {
      const auto line = bar_line(view, {.columns = columns, .unicode = unicode});
      int width = 0;
      for (const char c : line) width += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
      REQUIRE(width <= std::max(columns - 1, 1));
      REQUIRE((line.empty() || (static_cast<unsigned char>(line.back()) & 0xc0) != 0xc0));  // no half character
    }
}

TEST_CASE("a bar without a total counts up") {
  CHECK(bar_line({{"pages", {}}, 7, {}, 65, 0.1077}, {.columns = 80}) == "pages: 7 [01:05, 0.108/s]");
}

TEST_CASE("colours are only used when asked for") {
  const bar_view view{{"x", 10}, 5, {}, 1, 5};
  CHECK(bar_line(view, {.columns = 80}).find('\x1b') == std::string::npos);
  CHECK(bar_line(view, {.columns = 80, .color = true}).find("\x1b[32m") != std::string::npos);
}

TEST_CASE("strange numbers do no harm") {
  CHECK(bar_line({{"x", 0}, 0, {}, 0, 0}, {}).find("100%") != std::string::npos);
  CHECK(bar_line({{"x", 10}, 15, {}, 1, 15}, {}).find("100%") != std::string::npos);
  CHECK(bar_line({{"x", 10}, -5, {{"s", -3}}, 1, -5}, {}).find("  0%") != std::string::npos);
  CHECK(bar_line({{"x", 10}, 1, {}, std::numeric_limits<double>::infinity(), 1e-300}, {}).find("--:--") !=
        std::string::npos);
  CHECK(bar_line({{"x", std::numeric_limits<std::size_t>::max()}, 1, {}, 360'000, 1e9}, {}).find("x:   0%") == 0);
}

TEST_CASE("a label cannot move the cursor") {
  CHECK(bar_line({{"a\nb\x1b[2Jc", 2}, 1, {}, 1, 1}, {}).find("a b [2Jc: ") == 0);
}

TEST_CASE("a plain line says the same in words") {
  CHECK(plain_line({{"users", 1000}, 450, {{"dispatched", 12}}, 3, 150}) ==
        "users: 450 of 1000 (45%) in 3.0 s, 150/s, 4 s left; 12 dispatched");
  CHECK(plain_line({{"users", 1000}, 1000, {{"dispatched", 0}}, 30, 33.3}) ==
        "users: 1000 of 1000 (100%) in 30 s, 33.3/s");
  CHECK(plain_line({{"", {}}, 5, {}, 1, 5}) == "5 in 1.0 s, 5/s");
}

TEST_CASE("erasing leaves the cursor at the beginning of the first line") {
  CHECK(erase_lines(0).empty());
  CHECK(erase_lines(1) == "\r\x1b[2K");
  CHECK(erase_lines(3) == "\r\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K");
}
