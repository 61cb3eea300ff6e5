// D12 to D15: the end of an invoker: twice, too early, from several threads, during unwinding and against resistance.
#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/message_of.hpp>
#include <support/shared_counters.hpp>

#include <signal.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

using lenskit::invoker;
using lenskit::invoker_closed;
using lenskit::tests::on;
using lenskit::tests::shared_counters;
using namespace std::chrono_literals;

#ifndef __SANITIZE_THREAD__
namespace {

constexpr auto processes = lenskit::engine::processes;
constexpr auto bound = 2100ms;  // of an end, whatever the workers do

auto same() {
  return [](int, int x) { return x; };
}
using same_invoker = invoker<int, decltype(same())>;

auto since(std::chrono::steady_clock::time_point start) { return std::chrono::steady_clock::now() - start; }

// An argument that throws when it is copied if its number says so.
struct brittle {
  int number = 0;
  explicit brittle(int n = 0) : number(n) {}
  brittle(const brittle& other) : number(other.number) {
    if (number == 7) throw std::domain_error("seven must not be copied");
  }
  brittle& operator=(const brittle&) = default;
  ~brittle() = default;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& number;
  }
};

}  // namespace

TEST_CASE("D12: an invoker that was shut down says so, however often and whoever does it", "[no_tsan]") {
  STATIC_REQUIRE(std::is_base_of_v<std::logic_error, invoker_closed>);
  same_invoker inv(0, same(), on(processes));
  auto live = inv.map(std::views::iota(0));
  auto unread = inv.map(std::views::iota(0));
  CHECK(*live.begin() == 0);
  std::vector<std::thread> closers;
  for (int closer = 0; closer < 4; ++closer) closers.emplace_back([&] { inv.shutdown(); });
  for (auto& each : closers) each.join();
  inv.shutdown();
  CHECK_THROWS_AS(inv.map(std::vector{1}).collect(), invoker_closed);
  CHECK_THROWS_AS(inv.map_outcomes(std::vector{1}).collect(), std::logic_error);
  CHECK_THROWS_AS(inv.as_completed(std::vector{1}).collect(), invoker_closed);
  CHECK_THROWS_AS(unread.collect(), invoker_closed);
  CHECK_THROWS_AS(live.collect(), invoker_closed);
}

TEST_CASE("D12: a moved-from invoker is closed, can be given a new pool, and ends none of another's", "[no_tsan]") {
  same_invoker first(0, same(), on(processes));
  same_invoker second(std::move(first));
  first.shutdown();
  CHECK_THROWS_AS(first.map(std::vector{1}), invoker_closed);
  CHECK(second.map(std::vector{1}).collect() == std::vector{1});
  first = same_invoker(0, same(), on(processes, 1));
  CHECK(first.map(std::vector{2}).collect() == std::vector{2});
  first = std::move(second);  // its own pool ends here
  CHECK(first.map(std::vector{3}).collect() == std::vector{3});
}

TEST_CASE("D13: eight threads map until the invoker is shut down under them", "[no_tsan]") {
  for (int round = 0; round < 10; ++round) {
    same_invoker inv(0, same(), on(processes, 3));
    std::atomic<int> wrong{0};
    std::atomic<int> closed{0};
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 8; ++caller) {
      callers.emplace_back([&, caller] {
        try {
          for (;;) {
            int next = caller * 1000;
            for (const int result : inv.map(std::views::iota(next, next + 100))) wrong += result != next++;
            wrong += next != caller * 1000 + 100;
          }
        } catch (const invoker_closed&) {
          ++closed;
        }
      });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(round));
    const auto start = std::chrono::steady_clock::now();
    inv.shutdown();
    for (auto& each : callers) each.join();
    CHECK(since(start) < bound);
    CHECK(wrong == 0);
    CHECK(closed == 8);
  }
}

TEST_CASE("D13: pools are made and ended by several threads at once", "[no_tsan]") {
  std::atomic<int> right{0};
  std::vector<std::thread> makers;
  for (int maker = 0; maker < 4; ++maker) {
    makers.emplace_back([&, maker] {
      for (int round = 0; round < 10; ++round) {
        same_invoker inv(0, same(), on(processes));
        if (round % 3 == 1) {
          std::ignore = *inv.map(std::views::iota(0)).begin();  // and is ended with work in hand
        }
        right += inv.map(std::vector{maker, round}).collect() == std::vector{maker, round};
      }
    });
  }
  for (auto& each : makers) each.join();
  CHECK(right == 40);
}

TEST_CASE("D14: an invoker ends within its bound while an exception passes, though its workers resist", "[no_tsan]") {
  STATIC_REQUIRE(std::is_nothrow_destructible_v<same_invoker>);
  const bool resists = GENERATE(false, true);
  std::chrono::steady_clock::time_point start;
  const auto run = [&] {
    shared_counters started(1);
    invoker inv(
        0,
        [&](int, int x) {
          if (x < 3) return x;
          if (resists) signal(SIGTERM, SIG_IGN);
          ++started[0];
          std::this_thread::sleep_for(60s);
          return x;
        },
        on(processes));
    for (const int result : inv.map(std::views::iota(0, 1000))) {
      if (result < 2) continue;
      while (started[0] < 2) std::this_thread::sleep_for(1ms);
      start = std::chrono::steady_clock::now();
      throw std::out_of_range("enough");
    }
  };
  CHECK_THROWS_AS(run(), std::out_of_range);
  CHECK(since(start) < bound);
}

TEST_CASE("D14: an argument whose copy throws in the task is that task's error", "[no_tsan]") {
  invoker inv(
      0, [](int, brittle x) { return x.number; }, on(processes));
  std::vector<brittle> inputs;
  inputs.reserve(20);
  for (int i = 0; i < 20; ++i) inputs.emplace_back(i);
  int index = 0;
  for (const auto& each : inv.map_outcomes(inputs)) {
    INFO("index " << index);
    REQUIRE(each.has_value() == (index != 7));
    if (each.has_value()) CHECK(*each == index);
    if (each.has_error()) {
      const auto message = lenskit::tests::message_of([&] { each.value(); });
      CHECK(lenskit::tests::mentions(message, {"seven must not be copied"}));
    }
    ++index;
  }
  CHECK(index == 20);
}

TEST_CASE("D15: a pool ends within its bound though nobody reads the hundred megabytes that each worker sends",
          "[no_tsan]") {
  constexpr std::size_t size = std::size_t{100} << 20;
  constexpr int n_jobs = 2;
  const bool while_sending = GENERATE(true, false);
  shared_counters made(1);
  std::optional inv(invoker(
      0,
      [&](int, int x) {
        std::string result(x == 0 ? 1 : size, 'r');
        made[0] += x != 0;
        return result;
      },
      on(processes, n_jobs)));
  auto results = inv->map(std::vector{0, 1, 1, 1, 1});
  CHECK(results.begin()->size() == 1);
  while (made[0] < n_jobs) std::this_thread::sleep_for(1ms);
  std::this_thread::sleep_for(while_sending ? 1ms : 200ms);
  const auto start = std::chrono::steady_clock::now();
  inv->shutdown();
  inv.reset();
  CHECK(since(start) < bound);
}

#endif
