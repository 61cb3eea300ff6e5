#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/counting_input.hpp>
#include <support/engines.hpp>
#include <support/shared_counters.hpp>

#include <algorithm>
#include <chrono>
#include <ranges>
#include <thread>
#include <tuple>
#include <vector>

using lenskit::invoker;
using lenskit::tests::counting_input;
using lenskit::tests::on;
using lenskit::tests::shared_counters;
using namespace std::chrono_literals;

namespace {

auto same() {
  return [](int, int x) { return x; };
}

// Of several runs, because a loaded machine delays some of them.
template <class Run>
std::chrono::steady_clock::duration quickest_of_five(Run run) {
  auto quickest = std::chrono::steady_clock::duration::max();
  for (int time = 0; time < 5; ++time) {
    const auto start = std::chrono::steady_clock::now();
    run();
    quickest = std::min(quickest, std::chrono::steady_clock::now() - start);
  }
  return quickest;
}

}  // namespace

TEST_CASE("inputs are pulled at most the buffer's size ahead of what was yielded") {
  ON_EVERY_ENGINE(engine);
  const std::size_t buffer = GENERATE(1U, 2U, 3U, 7U, 100U);
  auto options = on(engine, 3);
  options.buffer_size = buffer;
  invoker inv(0, same(), options);
  int pulled = 0;
  auto results = inv.map(counting_input(pulled, 300));
  CHECK(pulled == 0);
  int yielded = 0;
  int ahead = 0;
  for (const int result : results) {
    REQUIRE(result == yielded);
    ++yielded;
    ahead = std::max(ahead, pulled - yielded);
  }
  CHECK(yielded == 300);
  CHECK(pulled == 300);
  CHECK(ahead <= static_cast<int>(buffer));
}

TEST_CASE("the window holds when the first task is the slowest and with a fixed chunk size") {
  ON_EVERY_ENGINE(engine);
  const std::size_t chunk = GENERATE(1U, 2U, 5U, 1000U);
  auto options = on(engine, 2);
  options.buffer_size = 7;
  options.chunk_size = chunk;
  invoker inv(
      0,
      [](int, int x) {
        if (x == 0) std::this_thread::sleep_for(30ms);
        return x;
      },
      options);
  int pulled = 0;
  int yielded = 0;
  for (const auto& each : inv.as_completed(counting_input(pulled, 60))) {
    CHECK(each.result.value() == static_cast<int>(each.index));
    ++yielded;
    REQUIRE(pulled - yielded <= 7);
  }
  CHECK(yielded == 60);
  CHECK(pulled == 60);
}

TEST_CASE("nothing is pulled and no task runs before the first result is asked for") {
  ON_EVERY_ENGINE(engine);
  shared_counters executed(1);
  invoker inv(
      0, [&executed](int, int) { ++executed[0]; }, on(engine));
  int pulled = 0;
  { auto results = inv.map(counting_input(pulled)); }
  std::this_thread::sleep_for(10ms);
  CHECK(pulled == 0);
  CHECK(executed.sum() == 0);
}

TEST_CASE("an infinite input is no different from a long one") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, same(), on(engine));
  int pulled = 0;
  int next = 0;
  for (const int result : inv.map(counting_input(pulled))) {
    REQUIRE(result == next);
    if (++next == 5000) break;
  }
  CHECK(next == 5000);
  CHECK(inv.map(std::views::iota(10) | std::views::take(3)).collect() == std::vector{10, 11, 12});
}

TEST_CASE("stopping after the first result leaves most of the input untouched") {
  ON_EVERY_ENGINE(engine);
  shared_counters executed(400);
  invoker inv(
      0,
      [&executed](int, int x) {
        ++executed[static_cast<std::size_t>(x)];
        std::this_thread::sleep_for(2ms);
        return x;
      },
      on(engine));
  int pulled = 0;
  for (const int result : inv.map(counting_input(pulled, 400))) {
    CHECK(result == 0);
    break;
  }
  CHECK(pulled <= 24);
  std::this_thread::sleep_for(30ms);
  CHECK(executed.sum() <= 12);
  // And what was dropped neither runs nor shows up later.
  const auto results = inv.map(std::views::iota(390, 400)).collect();
  CHECK(results == std::vector{390, 391, 392, 393, 394, 395, 396, 397, 398, 399});
  CHECK(executed.sum() <= 24);
}

TEST_CASE("chunks of a fixed size give the same results, whatever the size and the buffer") {
  ON_EVERY_ENGINE(engine);
  const std::size_t chunk = GENERATE(1U, 3U, 64U, 10'000U);
  const std::size_t buffer = GENERATE(0U, 1U, 50U);
  auto options = on(engine);
  options.chunk_size = chunk;
  options.buffer_size = buffer;
  invoker inv(
      3, [](int m, int x) { return m * x; }, options);
  int next = 0;
  for (const int result : inv.map(std::views::iota(0, 500))) {
    REQUIRE(result == 3 * next);
    ++next;
  }
  CHECK(next == 500);
}

TEST_CASE("waiting for chunks to fill does not delay tasks", "[serial]") {
  ON_ENGINES_WITH_WORKERS(engine);
  const bool warm = GENERATE(false, true);
  invoker inv(
      0, [](int, int) { std::this_thread::sleep_for(20ms); }, on(engine, 2));
  if (warm) std::ignore = inv.map(std::views::iota(0, 4)).collect();
  const auto serial = 20 * 20ms;
  CHECK(quickest_of_five([&] { std::ignore = inv.map(std::views::iota(0, 20)).collect(); }) < 0.75 * serial);
}
