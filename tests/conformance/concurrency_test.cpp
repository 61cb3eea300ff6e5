#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/counting_input.hpp>
#include <support/engines.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

using lenskit::invoker;
using lenskit::tests::on;

namespace {

auto plus_model() {
  return [](int model, int x) { return model + x; };
}

}  // namespace

TEST_CASE("several live ranges of one invoker may be interleaved") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, plus_model(), on(engine));
  int pulled = 0;
  auto slow = inv.map(std::views::iota(1000, 1050));
  auto endless = inv.map(lenskit::tests::counting_input(pulled));
  auto outcomes = inv.map_outcomes(std::views::iota(2000, 2050));
  auto a = slow.begin();
  auto b = endless.begin();
  auto c = outcomes.begin();
  for (int i = 0; i < 50; ++i) {
    REQUIRE(*a == 1000 + i);
    REQUIRE(*b == 2 * i);
    REQUIRE(c->value() == 2000 + i);
    ++a;
    ++b;
    ++b;
    ++c;
  }
  CHECK(a == slow.end());
  CHECK(c == outcomes.end());
}

TEST_CASE("a range that nobody reads does not hold up others") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, plus_model(), on(engine, 1));
  auto unread = inv.map(std::views::iota(0, 100'000));
  CHECK(*unread.begin() == 0);
  CHECK(inv.map(std::views::iota(5, 2005)).collect().size() == 2000);
  auto at = unread.begin();
  for (int i = 0; i < 5000; ++i) {
    REQUIRE(*at == i);
    ++at;
  }
}

TEST_CASE("a dropped range leaves no stale results behind") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, plus_model(), on(engine));
  for (int round = 0; round < 30; ++round) {
    const int first = round * 1000;
    {
      auto unread = inv.map(std::views::iota(first, first + 500));
      if (round % 3 == 1) CHECK(*unread.begin() == first);
      if (round % 3 == 2) {
        int taken = 0;
        for (const int result : unread) {
          CHECK(result == first + taken);
          if (++taken == 20) break;
        }
      }
    }
    const auto results = inv.map(std::views::iota(-first, -first + 100)).collect();
    REQUIRE(results.size() == 100);
    for (int i = 0; i < 100; ++i) REQUIRE(results[static_cast<std::size_t>(i)] == i - first);
  }
}

TEST_CASE("an exception thrown by the loop over results leaves the invoker usable") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, plus_model(), on(engine));
  CHECK_THROWS_AS(
      [&] {
        for (const int result : inv.map(std::views::iota(0, 1000))) {
          if (result == 17) throw std::runtime_error("the caller's own");
        }
      }(),
      std::runtime_error);
  CHECK(inv.map(std::views::iota(3, 6)).collect() == std::vector{3, 4, 5});
}

TEST_CASE("eight threads map on one invoker") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, plus_model(), on(engine));
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 8; ++caller) {
    callers.emplace_back([&inv, &wrong, caller] {
      for (int round = 0; round < 5; ++round) {
        int next = caller * 10'000;
        for (const int result : inv.map(std::views::iota(next, next + 300))) wrong += result != next++;
        wrong += next != caller * 10'000 + 300;
        int taken = 0;
        for (const int result : inv.map(std::views::iota(0))) {  // and leaves in the middle
          wrong += result != taken;
          if (++taken == 10) break;
        }
      }
    });
  }
  for (auto& each : callers) each.join();
  CHECK(wrong == 0);
}

TEST_CASE("a range may be read on another thread than the one that made it") {
  ON_EVERY_ENGINE(engine);
  std::optional<invoker<int, decltype(plus_model())>> inv(std::in_place, 1, plus_model(), on(engine));
  auto results = inv->map(std::views::iota(0, 100));
  CHECK(*results.begin() == 1);
  int sum = 0;
  std::thread([&sum, moved = std::move(results)]() mutable {
    for (const int result : moved) sum += result;
  }).join();
  inv.reset();
  CHECK(sum == 5050);
}

TEST_CASE("slow consumers and idle pools do not lose anything") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, plus_model(), on(engine));
  int next = 0;
  for (const int result : inv.map(std::views::iota(0, 40))) {
    REQUIRE(result == next++);
    if (next % 10 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(next == 40);
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  CHECK(inv.map(std::views::iota(0, 3)).collect() == std::vector{0, 1, 2});
}

TEST_CASE("tasks that turn out longer than those before them do not wait for one worker", "[no_tsan]") {
  const int processors = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  const auto [n_jobs, part_of_serial] = GENERATE_COPY(std::pair{2, 0.75}, std::pair{processors + 14, 0.25});
  CAPTURE(n_jobs);
  constexpr int short_ones = 4000;
  constexpr int long_ones = 120;
  constexpr auto long_time = std::chrono::milliseconds(10);
  // Asleep they need no processor: even workers that outnumber the processors can do them side by side.
  const auto nap = [long_time](int, int x) {
    std::this_thread::sleep_for(x < short_ones ? std::chrono::microseconds(1) : std::chrono::microseconds(long_time));
    return x;
  };
  invoker inv(0, nap, on(lenskit::engine::processes, n_jobs));
  // An input that does not tell its length is not cut finer towards its end.
  auto tasks = std::views::iota(0, short_ones + long_ones) | std::views::filter([](int) { return true; });
  std::chrono::steady_clock::time_point first_long;
  int next = 0;
  for (const int x : inv.map(tasks)) {
    REQUIRE(x == next++);
    if (x == short_ones - 1) first_long = std::chrono::steady_clock::now();
  }
  CHECK(next == short_ones + long_ones);
  CHECK(std::chrono::steady_clock::now() - first_long < long_ones * long_time * part_of_serial);
}
