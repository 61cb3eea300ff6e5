#include <lenskit/detail/dispatch/pace.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <cstdint>
#include <limits>

using lenskit::detail::task_pace;
namespace pace = lenskit::detail::pace;
using namespace std::chrono_literals;

TEST_CASE("nothing is known of tasks before the first result, and they go one by one") {
  task_pace of(2);
  CHECK_FALSE(of.task_ns());
  CHECK(of.chunk_tasks(0) == 1);
  of.learn(0, 1000, 0);
  CHECK_FALSE(of.task_ns());
}

TEST_CASE("a chunk takes about a grain, and no longer than the engine allows") {
  task_pace of(2);
  of.learn(10, 10'000, 0);
  CHECK(*of.task_ns() == Approx(1000));
  CHECK(of.chunk_tasks(0) == 300);
  CHECK(of.chunk_tasks(7) == 7);
  of.learn(1, 4'000'000'000, 0);
  CHECK(*of.task_ns() == Approx(1500));  // one slow result changes not much
}

TEST_CASE("the grain grows with the work that has been done, between its bounds") {
  task_pace of(1);
  of.learn(1000, 1'000'000, 0);
  CHECK(of.grain_ns() == Approx(300e3));
  for (int i = 0; i < 16; ++i) of.learn(1000, 1'000'000, 0);
  CHECK(of.grain_ns() == Approx(17e6 / 16));
  for (int i = 0; i < 1000; ++i) of.learn(1000, 1'000'000, 0);
  CHECK(of.grain_ns() == Approx(4e6));
  CHECK(of.queue_ns() == Approx(24e6));
}

TEST_CASE("large results make small chunks") {
  task_pace of(1);
  for (int i = 0; i < 100; ++i) of.learn(1, 1000, 1 << 20);
  CHECK(of.result_bytes() == Approx(1 << 20));
  CHECK(of.chunk_tasks(0) == 1);
  CHECK(of.until_full_ns() == Approx(1000.0 / 16));
}

TEST_CASE("tasks that take no time, or all of it, leave every number in its bounds") {
  const auto elapsed = GENERATE(std::int64_t{0}, std::numeric_limits<std::int64_t>::max());
  task_pace of(1);
  for (int i = 0; i < 3; ++i) of.learn(1, elapsed, 0);
  CHECK(of.chunk_tasks(0) >= 1);
  CHECK(of.chunk_tasks(0) <= 1U << 20);
  CHECK(of.grain_ns() >= 300e3);
  CHECK(of.grain_ns() <= 4e6);
}

TEST_CASE("who stands still is given as long as a task may take, within bounds") {
  CHECK(pace::stall_patience(std::nullopt) == 10s);
  CHECK(pace::stall_patience(1ms) == 1s);
  CHECK(pace::stall_patience(3s) == 3s);
  CHECK(pace::stall_patience(1h) == 10s);
}
