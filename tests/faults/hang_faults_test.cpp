// P7: tasks and workers that hang.
#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/reporting_child.hpp>
#include <support/shared_counters.hpp>

#include <spdlog/sinks/base_sink.h>

#include <signal.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <ranges>
#include <thread>
#include <vector>

using lenskit::invoker;
using lenskit::task_timeout;
using lenskit::tests::on;
using lenskit::tests::shared_counters;
using namespace std::chrono_literals;

#ifndef __SANITIZE_THREAD__
namespace {

struct way_to_hang {
  const char* name;
  void (*go)();
};

const std::vector<way_to_hang> ways{
    {"asleep", [] { std::this_thread::sleep_for(60s); }},
    {"busy",
     [] {
       for (volatile bool forever = true; forever;) {}
     }},
    {"stopped", [] { raise(SIGSTOP); }},
    {"ignores SIGTERM",
     [] {
       signal(SIGTERM, SIG_IGN);
       std::this_thread::sleep_for(60s);
     }},
    {"blocks all signals",
     [] {
       sigset_t all;
       sigfillset(&all);
       sigprocmask(SIG_SETMASK, &all, nullptr);
       std::this_thread::sleep_for(60s);
     }},
};

}  // namespace

TEST_CASE("P7: a task that runs too long costs itself, however it clings to life", "[no_tsan]") {
  const auto& way = ways[GENERATE(range(std::size_t{0}, std::size_t{5}))];
  INFO(way.name);
  auto options = on(lenskit::engine::processes);
  options.task_timeout = 100ms;
  invoker inv(
      0,
      [&way](int, int x) {
        if (x == 3) way.go();
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

TEST_CASE("P7: the timeout is for each task and not for its chunk or the call", "[no_tsan]") {
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

TEST_CASE("P7: timeouts do not break a pool, and a timed-out task is not run again", "[no_tsan]") {
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

namespace {

// Takes its time with each record, as a terminal over a slow link does.
class slow_sink final : public spdlog::sinks::base_sink<std::mutex> {
  void sink_it_(const spdlog::details::log_msg&) override { std::this_thread::sleep_for(20ms); }
  void flush_() override {}
};

}  // namespace

TEST_CASE("K2: what a task waits for a slow sink is not its time", "[no_tsan]") {
  lenskit::tests::fresh_loggers loggers;
  spdlog::default_logger()->sinks() = {std::make_shared<slow_sink>()};
  // 100 records of 1 MB: more than lies between the worker and the sink, and 2 s of the sink's time.
  const auto chatty = [](int, int n) {
    for (int i = 0; i < 100; ++i) spdlog::info(std::string(1 << 20, 'x'));
    return n;
  };
  auto options = on(lenskit::engine::processes, 1);
  options.task_timeout = 1s;
  CHECK(invoker(0, chatty, options).map(std::views::iota(7, 8)).collect() == std::vector{7});
}

TEST_CASE("P7: a timeout holds while the caller is busy elsewhere", "[no_tsan]") {
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

TEST_CASE("P7: a pool ends within two seconds though its workers hang and no timeout is set", "[no_tsan]") {
  const auto& way = ways[GENERATE(range(std::size_t{0}, std::size_t{5}))];
  INFO(way.name);
  constexpr int n_jobs = 2;
  shared_counters hanging(1);
  std::optional inv(invoker(
      0,
      [&](int, int x) {
        if (x == 0) return;
        ++hanging[0];
        way.go();
      },
      on(lenskit::engine::processes, n_jobs)));
  {
    auto results = inv->map_outcomes(std::vector{0, 1, 1, 1, 1});
    std::ignore = results.begin();
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (hanging[0] < n_jobs && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(1ms);
    REQUIRE(hanging[0] == n_jobs);
  }
  std::this_thread::sleep_for(5ms);
  const auto start = std::chrono::steady_clock::now();
  inv.reset();
  CHECK(std::chrono::steady_clock::now() - start < 2100ms);
}

#endif
