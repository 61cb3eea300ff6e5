// Which worker runs what, and when: tasks of which some are much longer than others, and ranges that are dropped.
#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/shared_counters.hpp>

#include <algorithm>
#include <chrono>
#include <random>
#include <ranges>
#include <thread>
#include <vector>

using lenskit::invoker;
using lenskit::task_timeout;
using lenskit::tests::on;
using lenskit::tests::shared_counters;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

auto sleeping() {
  return [](int, std::chrono::microseconds length) {
    if (length > 0us) std::this_thread::sleep_for(length);
    return length;
  };
}

// Up to three times, because a loaded machine delays some of them.
template <class Run>
bool is_once_within(steady::duration limit, Run run) {
  for (int time = 0; time < 3; ++time) {
    if (run() < limit) return true;
  }
  return false;
}

template <class Invoker>
steady::duration consume(Invoker& inv, const std::vector<std::chrono::microseconds>& lengths, bool in_order) {
  const auto start = steady::now();
  if (in_order) {
    CHECK(inv.map(lengths).collect() == lengths);
  } else {
    std::size_t count = 0;
    for (const auto& each : inv.as_completed(lengths)) {
      CHECK(each.result.value() == lengths[each.index]);
      ++count;
    }
    CHECK(count == lengths.size());
  }
  return steady::now() - start;
}

}  // namespace

TEST_CASE("K3: a task waits behind no long one while another worker is idle", "[serial]") {
  ON_ENGINES_WITH_WORKERS(engine);
  const std::size_t chunk = GENERATE(0U, 1U);
  const bool in_order = GENERATE(true, false);
  const auto [one, other] = GENERATE(table<std::size_t, std::size_t>({{0, 2}, {8, 9}}));
  std::vector<std::chrono::microseconds> lengths(10, 0us);
  lengths[one] = lengths[other] = 300ms;
  auto options = on(engine, 2);
  options.chunk_size = chunk;
  invoker inv(0, sleeping(), options);
  CHECK(is_once_within(450ms, [&] { return consume(inv, lengths, in_order); }));
}

TEST_CASE("K3: workers go on while the result that is next in order is not there yet", "[serial]") {
  ON_ENGINES_WITH_WORKERS(engine);
  const std::size_t chunk = GENERATE(0U, 1U);
  const bool in_order = GENERATE(true, false);
  // 100 ms for the first worker, and 40 tasks of 2 ms for each of the others meanwhile.
  std::vector<std::chrono::microseconds> lengths(121, 2ms);
  lengths[0] = 100ms;
  auto options = on(engine, 4);
  options.chunk_size = chunk;
  invoker inv(0, sleeping(), options);
  CHECK(is_once_within(140ms, [&] { return consume(inv, lengths, in_order); }));
}

TEST_CASE("K3: a dropped range starts nothing more", "[serial]") {
  ON_ENGINES_WITH_WORKERS(engine);
  // With short tasks first, many wait for the long ones in the chunks that follow.
  const int short_ones = GENERATE(0, 1, 100, 60'000);
  const std::size_t chunk = short_ones == 100 ? GENERATE(0U, 1U, 64U) : 0;
  const auto pause = GENERATE(0ms, 100ms);
  constexpr int workers = 2;
  shared_counters started(1);
  auto options = on(engine, workers);
  options.chunk_size = chunk;
  invoker inv(
      0,
      [&started, short_ones](int, int x) {
        if (x < short_ones) return x;
        ++started[0];
        std::this_thread::sleep_for(20ms);
        return x;
      },
      options);
  int before = 0;
  {
    auto results = inv.map(std::views::iota(0, 200'000));
    for (const int x : results) {
      if (x >= short_ones - 1) break;
    }
    std::this_thread::sleep_for(pause);
    before = started.sum();
  }
  // One that each worker was about to begin.
  std::this_thread::sleep_for(100ms);
  CHECK(started.sum() - before <= workers);
  CHECK(inv.map(std::vector{-1}).collect() == std::vector{-1});
  std::this_thread::sleep_for(40ms);
  CHECK(started.sum() - before <= workers);
}

TEST_CASE("K3: the next call waits only for what a dropped range was running", "[serial]") {
  ON_ENGINES_WITH_WORKERS(engine);
  invoker inv(0, sleeping(), on(engine, 2));
  const auto next_call = [&] {
    constexpr std::size_t empty = 60'000;
    std::vector<std::chrono::microseconds> lengths(empty, 0us);
    lengths.resize(200'000, 20ms);
    {
      std::size_t count = 0;
      auto results = inv.map(lengths);
      for (auto at = results.begin(); ++count < empty;) ++at;
      std::this_thread::sleep_for(100ms);
    }
    const auto dropped = steady::now();
    CHECK(inv.map(std::vector{0us}).collect().size() == 1);
    return steady::now() - dropped;
  };
  CHECK(is_once_within(50ms, next_call));
}

TEST_CASE("a result is not kept back by a long task of the same chunk", "[serial]") {
  ON_ENGINES_WITH_WORKERS(engine);
  const std::size_t chunk = GENERATE(0U, 8U);
  const std::size_t empty = chunk == 0 ? 20'000 : 0;  // before them, so that chosen chunks are long, too
  // In front of the long one; or behind it, where nobody else can be busy with what comes next.
  const std::size_t short_one = chunk == 8 ? GENERATE(0U, 1U) : 0U;
  std::vector<std::chrono::microseconds> lengths(empty + 8, 200ms);
  std::fill_n(lengths.begin(), empty, 0us);
  lengths[empty + short_one] = 5ms;
  lengths[empty + 1 - short_one] = 1s;
  auto options = on(engine, 2);
  options.chunk_size = chunk;
  const auto first_result = [&] {
    invoker inv(0, sleeping(), options);  // the long tasks of the one before would be in the way
    auto start = steady::now();
    for (const auto& each : inv.as_completed(lengths)) {
      if (each.index >= empty) break;
      start = steady::now();
    }
    return steady::now() - start;
  };
  CHECK(is_once_within(100ms, first_result));
}

#ifndef __SANITIZE_THREAD__
TEST_CASE("K1: no task is started twice when deadlines end tasks at their length") {
  constexpr auto deadline = 20ms;
  constexpr int tasks = 300;
  const std::size_t chunk = GENERATE(0U, 1U, 8U);
  std::mt19937 random(1);
  std::uniform_int_distribution<int> about(-1000, 1000);
  std::vector<std::chrono::microseconds> lengths(tasks);
  for (auto& each : lengths) each = deadline + std::chrono::microseconds(about(random));
  shared_counters started(tasks);
  auto options = on(lenskit::engine::processes, 4);
  options.task_timeout = deadline;
  options.chunk_size = chunk;
  invoker inv(
      0,
      [&started, &lengths](int, std::size_t task) {
        ++started[task];
        std::this_thread::sleep_for(lengths[task]);
        return task;
      },
      options);
  std::size_t late = 0;
  std::size_t next = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(std::size_t{0}, std::size_t{tasks}))) {
    if (each.has_error()) {
      CHECK_THROWS_AS(each.value(), task_timeout);
      ++late;
    } else {
      CHECK(each.value() == next);
    }
    ++next;
  }
  CHECK(next == tasks);
  CHECK(late > 0);
  for (std::size_t task = 0; task < tasks; ++task) {
    INFO("task " << task << " of " << lengths[task].count() << " us");
    CHECK(started[task] == 1);
  }
}
#endif
