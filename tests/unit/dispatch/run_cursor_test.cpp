#include <lenskit/detail/dispatch/run_cursor.hpp>
#include <lenskit/detail/wire/exception.hpp>
#include <lenskit/detail/wire/message.hpp>
#include <lenskit/detail/wire/writer.hpp>
#include <lenskit/error.hpp>

#include <support/catch.hpp>

#include <cstdint>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace d = lenskit::detail;
using strings = std::vector<std::string>;

// A part of results: for each number its value, or a failure where that is negative.
d::outcome_part part_of(std::uint64_t first_index, const std::vector<int>& numbers, bool measured = false) {
  d::writer out;
  for (std::size_t at = 0; at < numbers.size();) {
    if (numbers[at] < 0) {
      out.put(d::run_head{1, d::run_kind::failure});
      d::encode_exception(out, std::make_exception_ptr(std::runtime_error(std::to_string(numbers[at]))));
      ++at;
      continue;
    }
    auto end = at;
    while (end < numbers.size() && numbers[end] >= 0) ++end;
    out.put(d::run_head{static_cast<std::uint32_t>(end - at), d::run_kind::values});
    for (; at < end; ++at) {
      if (measured) out.put(std::uint64_t{sizeof(int)});
      out.put(numbers[at]);
    }
  }
  d::outcome_part part;
  part.first_index = first_index;
  part.count = static_cast<std::uint32_t>(numbers.size());
  part.payload = d::byte_buffer(out.size());
  std::memcpy(part.payload.data(), out.data(), out.size());
  return part;
}

std::string value(d::run_cursor& at, bool measured) {
  if (measured) std::ignore = at.bytes().get<std::uint64_t>();
  return std::to_string(at.index()) + "=" + std::to_string(at.bytes().get<int>());
}

strings all_of(d::run_cursor& at, bool measured = false) {
  strings all;
  for (;;) {
    const bool dry = at.is_dry();
    const auto step = at.advance();
    if (dry) CHECK(step == d::run_cursor::step::dry);
    if (step == d::run_cursor::step::dry) {
      CHECK(at.is_dry());
      return all;
    }
    if (step == d::run_cursor::step::failure) {
      try {
        std::rethrow_exception(at.failure());
      } catch (const lenskit::task_cancelled& error) {
        all.push_back(std::to_string(at.index()) + " cancelled " + std::to_string(error.index()));
      } catch (const std::exception&) {
        all.push_back(std::to_string(at.index()) + " failed");
      }
      continue;
    }
    all.push_back(value(at, measured));
    while (at.in_run()) {
      at.set_out(2);
      all.push_back(value(at, measured));
      while (at.go_straight()) all.push_back(value(at, measured));
    }
  }
}

}  // namespace

TEST_CASE("the cursor walks through values and failures, of one length or measured") {
  const bool measured = GENERATE(false, true);
  d::run_cursor at(measured ? 0 : sizeof(int));
  at.parts().push_back(part_of(10, {1, 2, 3, -1, 4}, measured));
  at.parts().push_back(part_of(20, {-2, -3}, measured));
  at.parts().push_back(part_of(30, {5}, measured));
  CHECK(all_of(at, measured) == strings{"10=1", "11=2", "12=3", "13 failed", "14=4", "20 failed", "21 failed", "30=5"});
  CHECK(at.passed() == 8);
  CHECK(at.parts().empty());
}

TEST_CASE("outcomes that have come before are passed over, wherever the cut lies") {
  const bool measured = GENERATE(false, true);
  const std::vector<int> numbers{1, -1, 2, 3, -2, -3, 4};
  d::run_cursor whole(measured ? 0 : sizeof(int));
  whole.parts().push_back(part_of(0, numbers, measured));
  const auto expected = all_of(whole, measured);
  for (std::uint32_t skip = 0; skip < numbers.size(); ++skip) {
    d::run_cursor at(measured ? 0 : sizeof(int));
    auto part = part_of(skip, numbers, measured);
    part.skip = skip;
    part.count -= skip;
    at.parts().push_back(std::move(part));
    CHECK(all_of(at, measured) == strings(expected.begin() + skip, expected.end()));
  }
}

TEST_CASE("a part may fail as a whole, or be cancelled, task by task") {
  d::run_cursor at(sizeof(int));
  d::outcome_part failed;
  failed.first_index = 3;
  failed.count = 2;
  failed.failure = std::make_exception_ptr(std::runtime_error("no"));
  at.parts().push_back(std::move(failed));
  d::outcome_part stopped;
  stopped.first_index = 5;
  stopped.count = 2;
  stopped.cancelled = true;
  at.parts().push_back(std::move(stopped));
  CHECK(all_of(at) == strings{"3 failed", "4 failed", "5 cancelled 5", "6 cancelled 6"});
}

TEST_CASE("what is spoilt fails up to the end of its part, and not beyond") {
  d::run_cursor at(sizeof(int));
  at.parts().push_back(part_of(0, {1, 2, 3, -1, 4}));
  at.parts().push_back(part_of(5, {6}));
  REQUIRE(at.advance() == d::run_cursor::step::value);
  std::ignore = value(at, false);
  at.set_out(2);
  at.spoil(std::make_exception_ptr(std::runtime_error("unreadable")));
  CHECK(at.index() == 1);
  CHECK(all_of(at) == strings{"2 failed", "3 failed", "4 failed", "5=6"});
  CHECK(at.passed() == 6);
}

TEST_CASE("values that need nothing else are had all at once, or not at all") {
  d::run_cursor at(sizeof(int));
  at.parts().push_back(part_of(0, {1, 2, 3, 4}));
  REQUIRE(at.advance() == d::run_cursor::step::value);
  std::ignore = value(at, false);
  at.set_out(3);
  std::ignore = value(at, false);
  const auto ahead = at.values_ahead(sizeof(int));
  CHECK(ahead.size() == 2 * sizeof(int));
  CHECK(at.index() == 3);
  CHECK(at.advance() == d::run_cursor::step::dry);
}

TEST_CASE("results that are damaged fail, each, and what follows them is read") {
  const auto cut = GENERATE(range(0, 20));
  d::run_cursor at(sizeof(int));
  auto part = part_of(0, {-1, 2, 3});
  part.payload.narrow(0, static_cast<std::size_t>(cut) % part.payload.size());
  at.parts().push_back(std::move(part));
  at.parts().push_back(part_of(3, {7}));
  int before = 0;
  for (auto step = at.advance(); step == d::run_cursor::step::failure; step = at.advance()) {
    CHECK(at.index() == static_cast<std::uint64_t>(before));
    ++before;
  }
  CHECK(before == 3);
  CHECK(value(at, false) == "3=7");
}

TEST_CASE("a run that says it is longer than its message is damaged") {
  d::run_cursor at(sizeof(int));
  auto part = part_of(0, {1, 2, 3});
  part.count = 2;
  at.parts().push_back(std::move(part));
  CHECK(all_of(at) == strings{"0 failed", "1 failed"});
}
