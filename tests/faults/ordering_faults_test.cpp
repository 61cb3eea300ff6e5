// D6 to D9 and F11: what is pulled, in which order results come, once each and with which seeds, whatever goes wrong.
#include <lenskit/invoker.hpp>
#include <lenskit/random.hpp>
#include <support/catch.hpp>
#include <support/counting_input.hpp>
#include <support/engines.hpp>
#include <support/resident_memory.hpp>
#include <support/shared_counters.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

using lenskit::invoker;
using lenskit::worker_died;
using lenskit::tests::counting_input;
using lenskit::tests::input_broke;
using lenskit::tests::on;
using lenskit::tests::shared_counters;
using namespace std::chrono_literals;

#ifndef __SANITIZE_THREAD__
namespace {

constexpr auto processes = lenskit::engine::processes;

std::uint64_t hash(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// How often the worker of a task dies before the task is done: one in sixteen, once or twice.
int deaths_of(std::uint64_t seed, int task) {
  const auto chance = hash(seed * 1'000'003 + static_cast<std::uint64_t>(task));
  return chance % 16 == 0 ? 1 + static_cast<int>(chance / 16 % 2) : 0;
}

}  // namespace

TEST_CASE("D6: no more is pulled than the buffer holds, with a first task that is slow and a consumer that is",
          "[no_tsan]") {
  const std::size_t buffer = GENERATE(1U, 2U, 6U, 40U);
  auto options = on(processes);
  options.buffer_size = buffer;
  invoker inv(
      0,
      [](int, int x) {
        if (x == 0) std::this_thread::sleep_for(50ms);
        return x;
      },
      options);
  int pulled = 0;
  int yielded = 0;
  for (const int result : inv.map(counting_input(pulled))) {
    REQUIRE(result == yielded);
    ++yielded;
    if (yielded % 16 == 0) std::this_thread::sleep_for(2ms);
    REQUIRE(pulled - yielded <= static_cast<int>(buffer));
    if (yielded == 200) break;
  }
  CHECK(pulled <= 200 + static_cast<int>(buffer));
}

TEST_CASE("D6: results that outpace their consumer do not fill the memory", "[no_tsan][no_asan]") {
  constexpr std::size_t result_size = std::size_t{1} << 20;
  constexpr std::size_t buffer = 8;
  const bool chosen = GENERATE(false, true);
  const std::size_t allowed = chosen ? std::size_t{256} << 20 : 5 * buffer * result_size;
  auto options = on(processes);
  if (!chosen) options.buffer_size = buffer;
  invoker inv(
      0, [](int, int x) { return std::string(result_size, static_cast<char>('a' + x % 26)); }, options);
  const auto before = lenskit::tests::resident_memory();
  std::size_t most = before;
  int pulled = 0;
  int count = 0;
  for (const auto& result : inv.map(counting_input(pulled))) {
    REQUIRE(result.back() == 'a' + count % 26);
    most = std::max(most, lenskit::tests::resident_memory());
    if (count % 20 == 0) std::this_thread::sleep_for(10ms);
    if (++count == 400) break;
  }
  CHECK(most - before < allowed);
}

TEST_CASE("D7: each result belongs to its argument and comes once, in order, however workers die", "[no_tsan]") {
  constexpr int count = 400;
  const std::uint64_t seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{13}));
  INFO("seed " << seed);
  shared_counters executed(count);
  auto options = on(processes, 2 + static_cast<int>(seed % 3));
  options.chunk_size = seed % 4 == 0 ? 0 : seed % 7 + 1;
  options.max_retries = static_cast<int>(seed % 3);
  const int retries = options.max_retries;
  invoker inv(
      0,
      [&](int, int x) {
        if (++executed[static_cast<std::size_t>(x)] <= deaths_of(seed, x)) raise(SIGKILL);
        return hash(static_cast<std::uint64_t>(x));
      },
      options);
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, count))) {
    const int deaths = deaths_of(seed, index);
    INFO("index " << index << ", deaths " << deaths);
    REQUIRE(each.has_value() == (deaths <= retries));
    if (each.has_value()) REQUIRE(*each == hash(static_cast<std::uint64_t>(index)));
    if (each.has_error()) REQUIRE_THROWS_AS(each.value(), worker_died);
    REQUIRE(executed[static_cast<std::size_t>(index)] == 1 + std::min(deaths, retries));
    ++index;
  }
  CHECK(index == count);
}

TEST_CASE("D7: as they are completed, each comes once too, however workers die", "[no_tsan]") {
  constexpr std::size_t count = 400;
  const std::uint64_t seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{7}));
  INFO("seed " << seed);
  invoker inv(
      0,
      [&](int, int x) {
        if (deaths_of(seed, x) > 0) raise(SIGKILL);
        return hash(static_cast<std::uint64_t>(x));
      },
      on(processes, 3));
  std::vector<int> seen(count);
  for (const auto& each : inv.as_completed(std::views::iota(0, int{count}))) {
    ++seen.at(each.index);
    REQUIRE(each.result.has_value() == (deaths_of(seed, static_cast<int>(each.index)) == 0));
    if (each.result) REQUIRE(*each.result == hash(each.index));
  }
  CHECK(seen == std::vector<int>(count, 1));
}

TEST_CASE("D8: an input that throws delivers what came before, though workers die meanwhile, then its exception",
          "[no_tsan]") {
  const int breaks_at = GENERATE(0, 7, 19, 20);
  const std::size_t chunk = GENERATE(0U, 1U, 5U);
  auto options = on(processes);
  options.chunk_size = chunk;
  invoker inv(
      0,
      [](int, int x) {
        if (x == 4 || x == 18) raise(SIGKILL);
        return x;
      },
      options);
  int pulled = 0;
  int delivered = 0;
  const auto read = [&] {
    for (const auto& each : inv.map_outcomes(counting_input(pulled, 20, breaks_at))) {
      REQUIRE(each.has_value() == (delivered != 4 && delivered != 18));
      if (each.has_value()) REQUIRE(*each == delivered);
      ++delivered;
    }
  };
  CHECK_THROWS_AS(read(), input_broke);
  CHECK(delivered == breaks_at);
  CHECK(inv.map(std::views::iota(5, 8)).collect() == std::vector{5, 6, 7});
}

TEST_CASE("D9: what a consumer leaves unread does not start any more, and never shows up later", "[no_tsan]") {
  enum class leaving { by_break, by_throw, unread };
  const auto way = GENERATE(leaving::by_break, leaving::by_throw, leaving::unread);
  const int leave_at = GENERATE(0, 1, 30);
  constexpr int count = 600;
  shared_counters executed(1);
  auto options = on(processes);
  options.chunk_size = GENERATE(0U, 4U);
  invoker inv(
      0,
      [&](int, int x) {
        if (x >= 0) {
          ++executed[0];
          if (x == 11) raise(SIGKILL);
          std::this_thread::sleep_for(1ms);
        }
        return x;
      },
      options);
  const auto leave = [&] {
    auto results = inv.map_outcomes(std::views::iota(0, count));
    if (way == leaving::unread) return;
    int index = 0;
    for (const auto& each : results) {
      if (each.has_value()) REQUIRE(*each == index);
      if (index++ < leave_at) continue;
      if (way == leaving::by_break) break;
      throw std::out_of_range("the consumer's own");
    }
  };
  if (way == leaving::by_throw) {
    CHECK_THROWS_AS(leave(), std::out_of_range);
  } else {
    leave();
  }
  const int left_with = executed[0];
  int next = -1000;
  for (const int result : inv.map(std::views::iota(-1000, -500))) REQUIRE(result == next++);
  CHECK(next == -500);
  CHECK(executed[0] <= left_with + 2 * 40);  // what the two workers had in hand, at most a chunk each
  CHECK(executed[0] < count / 2);
}

TEST_CASE("F11: the same root seed gives the same bits with any number of workers, with kills and retries",
          "[no_tsan]") {
  using bits = std::vector<std::uint32_t>;
  static constexpr int count = 60;
  const auto draw = [](lenskit::invoker_options options, bool deadly) {
    shared_counters executed(2 * count);
    options.max_retries = 2;
    lenskit::init_rng(20'261'121);
    invoker inv(
        0,
        [&](int, int x) {
          if (++executed[static_cast<std::size_t>(x)] == 1 && deadly && x % 7 == 3) raise(SIGKILL);
          auto all = lenskit::task_seed().generate_state(4);
          const auto derived = lenskit::derive_seed().generate_state(2);
          all.insert(all.end(), derived.begin(), derived.end());
          return all;
        },
        options);
    auto first = inv.map(std::views::iota(0, count)).collect();
    for (auto& each : inv.map(std::views::iota(count, 2 * count))) first.push_back(each);
    return first;
  };
  static const auto expected = draw(on(lenskit::engine::in_process), false);
  const std::set<bits> different(expected.begin(), expected.end());
  CHECK(different.size() == 2 * count);
  for (const int n_jobs : {1, 2, 7}) {
    INFO(n_jobs << " workers");
    CHECK(draw(on(processes, n_jobs), false) == expected);
    CHECK(draw(on(processes, n_jobs), true) == expected);
  }
}

#endif
