#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/counting_input.hpp>
#include <support/engines.hpp>
#include <support/shared_counters.hpp>

#include <chrono>
#include <optional>
#include <ranges>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

using lenskit::invoker;
using lenskit::invoker_closed;
using lenskit::task_cancelled;
using lenskit::tests::counting_input;
using lenskit::tests::on;
using lenskit::tests::shared_counters;
using namespace std::chrono_literals;

namespace {

auto same() {
  return [](int, int x) { return x; };
}

auto seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

TEST_CASE("a stop requested before the call cancels it, and nothing runs") {
  ON_EVERY_ENGINE(engine);
  std::stop_source stop;
  auto options = on(engine);
  options.stop_token = stop.get_token();
  shared_counters executed(1);
  invoker inv(
      0, [&executed](int, int) { ++executed[0]; }, options);
  stop.request_stop();
  CHECK_THROWS_AS(inv.map(std::vector{1, 2, 3}).collect(), task_cancelled);
  int pulled = 0;
  CHECK_THROWS_AS(inv.map(counting_input(pulled)).collect(), task_cancelled);
  CHECK(executed.sum() == 0);
}

TEST_CASE("a stop requested during the call ends it soon, however long its input is") {
  ON_EVERY_ENGINE(engine);
  std::stop_source stop;
  auto options = on(engine);
  options.stop_token = stop.get_token();
  invoker inv(
      0,
      [](int, int x) {
        std::this_thread::sleep_for(1ms);
        return x;
      },
      options);
  const auto start = std::chrono::steady_clock::now();
  int pulled = 0;
  int next = 0;
  try {
    for (const int result : inv.map(counting_input(pulled))) {
      REQUIRE(result == next++);
      if (next == 20) stop.request_stop();
      REQUIRE(next < 1000);
    }
    CHECK(false);
  } catch (const task_cancelled& error) {
    CHECK(error.index() >= 20);
    CHECK(static_cast<int>(error.index()) <= next);
  }
  CHECK(seconds_since(start) < 3);
}

TEST_CASE("a stop requested by another thread wakes the caller") {
  ON_EVERY_ENGINE(engine);
  std::stop_source stop;
  auto options = on(engine);
  options.stop_token = stop.get_token();
  invoker inv(
      0, [](int, int) { std::this_thread::sleep_for(5ms); }, options);
  std::thread stopper([&] {
    std::this_thread::sleep_for(50ms);
    stop.request_stop();
  });
  int pulled = 0;
  const auto start = std::chrono::steady_clock::now();
  CHECK_THROWS_AS(inv.map(counting_input(pulled)).collect(), task_cancelled);
  CHECK(seconds_since(start) < 3);
  stopper.join();
}

#ifndef __SANITIZE_THREAD__
TEST_CASE("processes do not wait for a running task when a stop is requested", "[no_tsan]") {
  std::stop_source stop;
  auto options = on(lenskit::engine::processes);
  options.stop_token = stop.get_token();
  const auto start = std::chrono::steady_clock::now();
  {
    invoker inv(
        0, [](int, int) { std::this_thread::sleep_for(60s); }, options);
    std::thread stopper([&] {
      std::this_thread::sleep_for(50ms);
      stop.request_stop();
    });
    CHECK_THROWS_AS(inv.map(std::vector{1, 2, 3}).collect(), task_cancelled);
    CHECK(seconds_since(start) < 2);
    stopper.join();
  }
  CHECK(seconds_since(start) < 5);
}
#endif

TEST_CASE("cancelled outcomes and completions say so, each once") {
  ON_EVERY_ENGINE(engine);
  std::stop_source stop;
  auto options = on(engine);
  options.stop_token = stop.get_token();
  options.buffer_size = 10;
  invoker inv(0, same(), options);
  std::vector<int> seen(10);
  bool ended = false;
  try {
    for (const auto& each : inv.as_completed(std::views::iota(0, 100))) {
      if (each.index < seen.size()) ++seen[each.index];
      if (each.result.has_error()) CHECK_THROWS_AS(each.result.value(), task_cancelled);
      stop.request_stop();
    }
  } catch (const task_cancelled&) {
    ended = true;  // the input was not read to its end
  }
  CHECK(ended);
  CHECK(seen[0] == 1);
  for (const int times : seen) CHECK(times <= 1);
}

TEST_CASE("a stop that is requested after everything came changes nothing") {
  ON_EVERY_ENGINE(engine);
  std::stop_source stop;
  auto options = on(engine);
  options.stop_token = stop.get_token();
  invoker inv(0, same(), options);
  CHECK(inv.map(std::vector{1, 2, 3}).collect() == std::vector{1, 2, 3});
  stop.request_stop();
  CHECK_THROWS_AS(inv.map(std::vector{1, 2, 3}).collect(), task_cancelled);
}

TEST_CASE("an invoker that was shut down is closed, again and again") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, same(), on(engine));
  CHECK(inv.map(std::vector{1}).collect() == std::vector{1});
  inv.shutdown();
  inv.shutdown();
  CHECK_THROWS_AS(inv.map(std::vector{1}).collect(), invoker_closed);
  CHECK_THROWS_AS(inv.map_outcomes(std::vector{1}).collect(), invoker_closed);
  CHECK_THROWS_AS(inv.as_completed(std::vector{1}).collect(), invoker_closed);
  CHECK(inv.engine() == engine);
}

TEST_CASE("a live range of an invoker that was shut down throws and does not hang") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, same(), on(engine));
  int pulled = 0;
  auto unread = inv.map(counting_input(pulled));
  auto begun = inv.map(counting_input(pulled));
  CHECK(*begun.begin() == 0);
  inv.shutdown();
  CHECK_THROWS_AS(unread.collect(), invoker_closed);
  CHECK_THROWS_AS(begun.collect(), invoker_closed);
}

TEST_CASE("an invoker that was moved from is closed, and the new one goes on") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, same(), on(engine));
  auto results = inv.map(std::vector{1, 2, 3});
  auto other = std::move(inv);
  CHECK_THROWS_AS(inv.map(std::vector{1}), invoker_closed);
  inv.shutdown();
  CHECK(results.collect() == std::vector{1, 2, 3});
  CHECK(other.map(std::vector{4, 5}).collect() == std::vector{4, 5});
  inv = std::move(other);
  CHECK(inv.map(std::vector{6}).collect() == std::vector{6});
}

TEST_CASE("an invoker ends soon while its tasks run, also during unwinding") {
  ON_EVERY_ENGINE(engine);
  const auto start = std::chrono::steady_clock::now();
  CHECK_THROWS_AS(
      [&] {
        invoker inv(
            0,
            [](int, int x) {
              std::this_thread::sleep_for(20ms);
              return x;
            },
            on(engine));
        for (const int result : inv.map(std::views::iota(0, 1000))) {
          if (result == 2) throw std::out_of_range("enough");
        }
      }(),
      std::out_of_range);
  CHECK(seconds_since(start) < 3);
}

TEST_CASE("a task cannot use the invoker that runs it") {
  ON_EVERY_ENGINE(engine);
  using pointer = invoker<int, int (*)(const int&, int)>*;
  static pointer self = nullptr;
  const auto use = [](const int&, int x) { return x > 100 ? x : self->map(std::vector{x + 1000}).collect().at(0); };
  invoker<int, int (*)(const int&, int)> inv(0, use, on(engine));
  self = &inv;
  if (engine == lenskit::engine::processes) {  // workers have the pointer as it was: they need a second generation
    invoker<int, int (*)(const int&, int)> second(0, use, on(engine));
    CHECK_THROWS_AS(second.map(std::vector{1, 2}).collect(), invoker_closed);
  } else {
    CHECK_THROWS_AS(inv.map(std::vector{1, 2}).collect(), invoker_closed);
  }
  CHECK(inv.map(std::vector{101}).collect() == std::vector{101});
}
