#include <lenskit/detail/worker/clock_stride.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace {

namespace d = lenskit::detail;

// Runs a chunk whose task `i` takes `ns_of(i)`; returns before which tasks the clock was looked at.
template <class NsOf>
std::vector<std::uint32_t> looks(d::clock_stride& stride, std::uint32_t tasks, NsOf ns_of) {
  std::vector<std::uint32_t> seen;
  std::int64_t now = 1000;
  stride.begin(tasks, now);
  for (std::uint32_t task = 0; task < tasks; ++task) {
    if (stride.is_over()) {
      stride.renew(now);
      seen.push_back(task);
    }
    now += ns_of(task);
  }
  return seen;
}

constexpr std::int64_t short_ns = 100;
constexpr std::int64_t long_ns = 1'000'000;

}  // namespace

TEST_CASE("the clock is looked at before each task but the first while nothing is known") {
  d::clock_stride stride;
  CHECK(looks(stride, 4, [](auto) { return long_ns; }) == std::vector<std::uint32_t>{1, 2, 3});
}

TEST_CASE("the clock is looked at seldom while tasks are short, but eight times a chunk") {
  d::clock_stride stride;
  const auto some = looks(stride, 100'000, [](auto) { return short_ns; });
  CHECK(some.size() > 100'000 * short_ns / 40'000);  // about every 20 us
  CHECK(some.size() < 100'000 * short_ns / 10'000 + 20);
  CHECK(looks(stride, 80, [](auto) { return short_ns; }).size() == 7);  // before every tenth task but the first
}

TEST_CASE("the clock is looked at often again soon after tasks have become long") {
  d::clock_stride stride;
  constexpr std::uint32_t change = 50'000;
  const auto seen = looks(stride, 2 * change, [](std::uint32_t task) { return task < change ? short_ns : long_ns; });
  const auto behind = std::ranges::lower_bound(seen, change);
  REQUIRE(seen.end() - behind > 20);
  CHECK(*behind - change < 400);
  CHECK(behind[15] - behind[14] == 1);
}

TEST_CASE("a row of tasks that nobody asks for ends before the next look") {
  d::clock_stride stride;
  stride.begin(800, 0);
  for (int time = 0; time < 20; ++time) {  // short tasks: the stride grows to a hundred
    while (!stride.is_over()) {}
    stride.renew(0);
  }
  CHECK(stride.left() == 99);
  stride.advance(60);
  CHECK(stride.left() == 39);
  stride.advance(39);
  CHECK(stride.left() == 0);
  CHECK(stride.is_over());
}
