#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/message_of.hpp>

#include <signal.h>

#include <chrono>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using lenskit::invoker;
using lenskit::task_timeout;
using lenskit::tests::mentions;
using lenskit::tests::message_of;
using lenskit::tests::on;
using namespace std::chrono_literals;

TEST_CASE("engines that cannot stop a task refuse a timeout") {
  const auto engine = GENERATE(lenskit::engine::in_process, lenskit::engine::threads);
  auto options = on(engine);
  options.task_timeout = 1s;
  const auto make = [&] {
    invoker inv(
        0, [](int, int x) { return x; }, options);
  };
  CHECK_THROWS_AS(make(), std::invalid_argument);
  CHECK(mentions(message_of(make), {"task_timeout", lenskit::tests::name_of(engine)}));
}

#ifndef __SANITIZE_THREAD__

TEST_CASE("a task that runs too long costs itself, however it clings to life", "[no_tsan]") {
  static void (*const ways[])() = {
      [] { std::this_thread::sleep_for(60s); },
      [] {
        for (volatile bool forever = true; forever;) {}
      },
      [] { raise(SIGSTOP); },
      [] {
        signal(SIGTERM, SIG_IGN);
        std::this_thread::sleep_for(60s);
      },
      [] {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, nullptr);
        std::this_thread::sleep_for(60s);
      },
  };
  const auto way = GENERATE(range(0, 5));
  INFO("way " << way);
  auto options = on(lenskit::engine::processes);
  options.task_timeout = 100ms;
  invoker inv(
      0,
      [way](int, int x) {
        if (x == 3) ways[way]();
        return x;
      },
      options);
  const auto start = std::chrono::steady_clock::now();
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 20))) {
    REQUIRE(each.has_value() == (index != 3));
    if (each.has_error()) {
      try {
        each.value();
      } catch (const task_timeout& late) {
        CHECK(late.index() == 3);
        CHECK(late.limit() == 100ms);
      }
      CHECK_THROWS_AS(each.value(), task_timeout);
    }
    ++index;
  }
  CHECK(index == 20);
  CHECK(std::chrono::steady_clock::now() - start < 2100ms);
}

TEST_CASE("the timeout is for each task and not for its chunk or the call", "[no_tsan]") {
  auto options = on(lenskit::engine::processes);
  options.task_timeout = 400ms;
  options.chunk_size = GENERATE(0U, 30U);
  invoker inv(
      0,
      [](int, int x) {
        std::this_thread::sleep_for(20ms);
        return x;
      },
      options);
  CHECK(inv.map(std::views::iota(0, 60)).collect().size() == 60);
}

TEST_CASE("timeouts do not break a pool, and a timed-out task is not run again", "[no_tsan]") {
  auto options = on(lenskit::engine::processes, 2);
  options.task_timeout = 30ms;
  options.max_retries = 5;
  invoker inv(
      0,
      [](int, int x) {
        if (x % 2 == 0) std::this_thread::sleep_for(60s);
        return x;
      },
      options);
  std::size_t late = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 24))) {
    if (each.has_error()) CHECK_THROWS_AS(each.value(), task_timeout);
    late += each.has_error();
  }
  CHECK(late == 12);
}

TEST_CASE("a timeout holds while the caller is busy elsewhere", "[no_tsan]") {
  auto options = on(lenskit::engine::processes, 1);
  options.task_timeout = 50ms;
  options.buffer_size = 8;
  invoker inv(
      0,
      [](int, int x) {
        if (x == 1) std::this_thread::sleep_for(60s);
        return x;
      },
      options);
  auto results = inv.map_outcomes(std::views::iota(0, 6));
  auto at = results.begin();
  CHECK(at->value() == 0);
  std::this_thread::sleep_for(600ms);
  const auto start = std::chrono::steady_clock::now();
  ++at;
  CHECK_THROWS_AS(at->value(), task_timeout);
  ++at;
  CHECK(at->value() == 2);
  CHECK(std::chrono::steady_clock::now() - start < 300ms);
}
#endif
