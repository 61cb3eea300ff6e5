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
