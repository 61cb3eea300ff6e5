#include <lenskit/detail/log/sink_watch.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <cstdint>
#include <vector>

namespace {

namespace d = lenskit::detail;
using namespace std::chrono_literals;

const d::steady::time_point start = d::steady::time_point{} + 1h;

}  // namespace

TEST_CASE("sinks that were slow are slow until all is delivered, and it is told for how long") {
  d::sink_watch watch;
  CHECK_FALSE(watch.slow());
  CHECK_FALSE(watch.catch_up(start));
  watch.note_slow(start);
  CHECK(watch.slow());
  CHECK_FALSE(watch.hanging());
  const auto took = watch.catch_up(start + 2s);
  REQUIRE(took);
  CHECK(*took == 2s + d::sink_watch::patience);
  CHECK_FALSE(watch.slow());
  CHECK_FALSE(watch.catch_up(start + 3s));
}

TEST_CASE("sinks that are slow again and again are told of once, twice, four times, eight times") {
  d::sink_watch watch;
  std::vector<int> told;
  for (int time = 1; time <= 16; ++time) {
    watch.note_slow(start);
    if (watch.catch_up(start)) told.push_back(time);
  }
  CHECK(told == std::vector{1, 2, 4, 8, 16});
}

TEST_CASE("sinks hang when nothing has been delivered for half a second of looking") {
  d::sink_watch watch;
  std::uint64_t delivered = 0;
  auto now = start;
  const auto looks_until_hanging = [&] {
    int looks = 1;
    for (; !watch.look(now, delivered) && looks < 1000; ++looks) now += 10ms;
    return looks;
  };
  CHECK(watch.look(now, ++delivered) == false);
  now += 10ms;
  CHECK(looks_until_hanging() == 50);
  CHECK(watch.hanging());
  CHECK(watch.slow());
  SECTION("not any more after the next delivery") {
    now += 10ms;
    CHECK_FALSE(watch.look(now, ++delivered));
    CHECK_FALSE(watch.hanging());
    CHECK(watch.slow());  // but nobody waits before they have caught up
  }
  SECTION("not any more when all is delivered") {
    CHECK(watch.catch_up(now));
    CHECK_FALSE(watch.hanging());
    CHECK_FALSE(watch.slow());
  }
}

TEST_CASE("who looks seldom does not find that sinks hang because of that") {
  d::sink_watch watch;
  CHECK_FALSE(watch.look(start, 1));
  CHECK_FALSE(watch.look(start + 10s, 1));
  CHECK_FALSE(watch.look(start + 20s, 1));
}
