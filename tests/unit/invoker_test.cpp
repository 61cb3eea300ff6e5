#include <lenskit/error.hpp>
#include <lenskit/invoker.hpp>
#include <lenskit/settings.hpp>
#include <support/catch.hpp>
#include <support/in_child.hpp>
#include <support/message_of.hpp>
#include <support/variable.hpp>

#include <sched.h>

#include <chrono>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using lenskit::engine;
using lenskit::invoker;
using lenskit::invoker_options;
using lenskit::tests::mentions;
using lenskit::tests::message_of;
using lenskit::tests::variable;

namespace {

int add(int model, int x) { return model + x; }

std::string complaint(const invoker_options& options) {
  return message_of<std::invalid_argument>([&] { invoker inv(0, add, options); });
}

}  // namespace

TEST_CASE("options that make no sense are named with their value") {
  for (const int n_jobs : {0, -1, std::numeric_limits<int>::min()}) {
    CHECK(mentions(complaint({.n_jobs = n_jobs}), {"n_jobs", std::to_string(n_jobs)}));
  }
  CHECK(mentions(message_of<std::invalid_argument>([] { invoker inv(0, add, -3); }), {"n_jobs", "-3"}));
  CHECK(mentions(complaint({.n_jobs = 1, .max_retries = -2}), {"max_retries", "-2"}));
  for (const int nanoseconds : {0, -7}) {
    CHECK(mentions(complaint({.n_jobs = 2, .task_timeout = std::chrono::nanoseconds(nanoseconds)}),
                   {"task_timeout", std::to_string(nanoseconds)}));
  }
}

TEST_CASE("an engine that does not exist is refused with the names of those that do") {
  CHECK(complaint({.n_jobs = 2, .engine = static_cast<engine>(77)}) ==
        "engine is 77, expected one of automatic, in_process, threads and processes");
}

TEST_CASE("the engines that can stop a task are named where another is to do it") {
  CHECK(complaint({.n_jobs = 2, .engine = engine::threads, .task_timeout = std::chrono::seconds(1)}) ==
        "task_timeout needs engine processes, which can stop a task; engine threads cannot");
}

TEST_CASE("a number of jobs that does not fit an int is refused") {
  CHECK(mentions(message_of<std::invalid_argument>([] { invoker inv(0, add, (1LL << 32) + 1); }), {"n_jobs"}));
  CHECK(mentions(message_of<std::invalid_argument>([] { invoker inv(0, add, std::size_t{0}); }), {"n_jobs", "0"}));
}

TEST_CASE("the default number of jobs is that of proc_count, four at most") {
  const variable many("LK_NUM_PROCS", "1");
  invoker inv(0, add);
  CHECK(inv.n_jobs() == 1);
  CHECK(inv.engine() == engine::in_process);
}

TEST_CASE("one job runs in process and the engine in_process has one job") {
  CHECK(invoker(0, add, 1).engine() == engine::in_process);
  CHECK(invoker(0, add, {.n_jobs = 1, .engine = engine::threads}).engine() == engine::threads);
  CHECK(invoker(0, add, {.n_jobs = 7, .engine = engine::in_process}).n_jobs() == 1);
  CHECK(invoker(0, add, {.n_jobs = 3, .engine = engine::threads}).n_jobs() == 3);
}

TEST_CASE("the types of model and function are deduced, whatever they are given as") {
  const std::string model = "m";
  const auto fn = [](const std::string& m, int x) { return m + std::to_string(x); };
  invoker by_lvalue(model, fn, 1);
  invoker by_rvalue(std::string("m"), fn, {.n_jobs = 1});
  auto stored = lenskit::persist(model);
  invoker by_handle(stored, fn, 1);
  invoker by_moved_handle(lenskit::persist(model), fn, 1);
  STATIC_REQUIRE(std::same_as<decltype(by_lvalue), decltype(by_rvalue)>);
  STATIC_REQUIRE(std::same_as<decltype(by_lvalue), decltype(by_handle)>);
  STATIC_REQUIRE(std::same_as<decltype(by_lvalue), decltype(by_moved_handle)>);
  STATIC_REQUIRE(std::is_nothrow_move_constructible_v<decltype(by_lvalue)>);
  STATIC_REQUIRE(!std::is_copy_constructible_v<decltype(by_lvalue)>);
  for (auto* inv : {&by_lvalue, &by_rvalue, &by_handle, &by_moved_handle}) {
    CHECK(inv->map(std::vector{1}).collect() == std::vector<std::string>{"m1"});
  }
  stored.close();
  CHECK(by_handle.map(std::vector{1}).collect() == std::vector<std::string>{"m1"});
}

TEST_CASE("a model of any type is inherited by processes", "[no_tsan]") {
  struct tangled {
    std::unique_ptr<tangled> next;
    mutable std::mutex mutex;
    int value = 0;
  };
  tangled model;
  model.value = 1;
  model.next = std::make_unique<tangled>();
  model.next->value = 2;
  invoker inv(
      model,
      [](const tangled& m, int x) {
        const std::lock_guard held(m.mutex);
        return m.value + m.next->value + x;
      },
      2);
  CHECK(inv.map(std::vector{10, 20}).collect() == std::vector{13, 23});
}

TEST_CASE("a model cannot be changed by a worker for others", "[no_tsan]") {
  lenskit::shared_array<int> model(std::vector<int>(1000, 5));
  invoker inv(
      model,
      [](const lenskit::shared_array<int>& m, int x) {
        if (x == 3) const_cast<int&>(m[0]) = 6;  // the mapping is read-only: this is a crash of one task
        return m[0];
      },
      2);
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::vector{0, 1, 2, 3, 4, 5})) {
    CHECK(each.has_value() == (index != 3));
    if (each.has_value()) CHECK(*each == 5);
    if (each.has_error()) CHECK_THROWS_AS(each.value(), lenskit::worker_died);
    ++index;
  }
}

TEST_CASE("workers have the settings that they are given", "[no_tsan]") {
  lenskit::parallel_settings settings;
  settings.num_threads = 3;
  settings.num_backend_threads = 2;
  const auto seen = [](int, int) {
    const auto& in_force = lenskit::parallel_config();
    return std::pair(in_force.num_threads, in_force.num_backend_threads);
  };
  CHECK(invoker(0, seen, {.n_jobs = 2, .worker_parallel = settings}).map(std::vector{1}).collect().front() ==
        std::pair(3, 2));
  CHECK(invoker(0, seen, 2).map(std::vector{1}).collect().front().first == 1);
}

TEST_CASE("in a process forked by the program an invoker is closed and its end does no harm", "[no_tsan]") {
  auto inv = std::make_unique<invoker<int, int (*)(int, int)>>(1, add, 2);
  auto live = inv->map(std::vector{1, 2, 3});
  CHECK(*live.begin() == 2);
  CHECK(lenskit::tests::holds_in_child([&] {
    bool closed = false;
    try {
      std::ignore = inv->map(std::vector{1});
    } catch (const lenskit::invoker_closed&) {
      closed = true;
    }
    inv.reset();
    return closed;
  }));
  CHECK(live.collect() == std::vector{2, 3, 4});
  CHECK(inv->map(std::vector{5}).collect() == std::vector{6});
}

TEST_CASE("many pools come and go without a trace", "[no_tsan]") {
  for (int round = 0; round < 20; ++round) {
    CHECK(invoker(round, add, 2).map(std::vector{1, 2}).collect() == std::vector{round + 1, round + 2});
  }
}

TEST_CASE("workers that outnumber the processors do not displace one another", "[no_tsan]") {
  const auto policy = [](int, int) { return ::sched_getscheduler(0); };
  const int own = ::sched_getscheduler(0);
  const int processors = static_cast<int>(std::thread::hardware_concurrency());
  const std::vector<int> tasks(20);
  const auto policies_of = [&](int n_jobs) {
    invoker inv(0, policy, invoker_options{.n_jobs = n_jobs, .engine = engine::processes});
    return inv.map(tasks).collect();
  };
  const int expected = own == SCHED_OTHER ? SCHED_BATCH : own;
  for (const int each : policies_of(processors + 1)) CHECK(each == expected);
  for (const int each : policies_of(processors)) CHECK(each == own);
}

TEST_CASE("one worker is a process where an option asks for what only processes can do", "[no_tsan]") {
  const auto same = [](int, int x) { return x; };
  CHECK(lenskit::invoker(0, same, 1).engine() == lenskit::engine::in_process);
  lenskit::invoker_options late{.n_jobs = 1};
  late.task_timeout = std::chrono::seconds(5);
  CHECK(lenskit::invoker(0, same, late).engine() == lenskit::engine::processes);
  lenskit::invoker_options again{.n_jobs = 1, .max_retries = 1};
  CHECK(lenskit::invoker(0, same, again).map(std::vector{1, 2}).collect() == std::vector{1, 2});
}
