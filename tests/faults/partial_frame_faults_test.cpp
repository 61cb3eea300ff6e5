// W5, W6: a worker dies while it sends, or at any other step, and the tasks around it are neither lost nor run twice.
#include <lenskit/invoker.hpp>
#include <lenskit/worker.hpp>
#include <support/call_faults.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/shared_counters.hpp>
#include <support/syscall_faults.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <ranges>
#include <string>
#include <tuple>
#include <vector>

using lenskit::invoker;
using lenskit::worker_died;
using lenskit::detail::sys::call;
using lenskit::tests::call_faults;
using lenskit::tests::kill_this_process;
using lenskit::tests::on;
using lenskit::tests::shared_counters;

#ifndef __SANITIZE_THREAD__
namespace {

constexpr auto processes = lenskit::engine::processes;
constexpr int n_tasks = 6;
constexpr int fatal_task = 2;
bool sends_its_last = false;  // in the worker that is to die while it sends

char letter(int task) { return static_cast<char>('a' + task); }

// What became of the results when the worker with the fatal task is killed after `bytes` bytes of its message.
struct sweep_step {
  bool died_sending = false;  // the message was longer than that
  std::size_t failed = 0;
};

sweep_step kill_after(std::size_t bytes, std::size_t result_size) {
  shared_counters executed(n_tasks);
  shared_counters killed(1);
  std::size_t left = bytes;
  const call_faults faults(
      [&](call which) {
        if (which != call::sendmsg || !sends_its_last || left > 0) return 0;
        ++killed[0];
        return kill_this_process();
      },
      [&](call which, std::size_t size) {
        if (which != call::sendmsg || !sends_its_last) return size;
        const auto now = std::min(left, size);
        left -= now;
        return now;
      });
  auto options = on(processes);
  options.chunk_size = 1;  // a message of its own for each result
  invoker inv(
      0,
      [&](int, int x) {
        ++executed[static_cast<std::size_t>(x)];
        sends_its_last = x == fatal_task;
        return std::string(result_size, letter(x));
      },
      options);
  sweep_step step;
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, n_tasks))) {
    INFO("killed after byte " << bytes << ", index " << index);
    if (each.has_error()) {
      ++step.failed;
      REQUIRE(index == fatal_task);
      REQUIRE_THROWS_AS(each.value(), worker_died);
    } else {
      REQUIRE(*each == std::string(result_size, letter(index)));
    }
    REQUIRE(executed[static_cast<std::size_t>(index)] == 1);
    ++index;
  }
  REQUIRE(index == n_tasks);
  step.died_sending = killed[0] != 0;
  return step;
}

constexpr std::size_t large = std::size_t{10} << 20;

}  // namespace

TEST_CASE("W5: a worker killed after any byte of a small message loses nothing: what it had finished is kept",
          "[no_tsan]") {
  std::size_t bytes = 0;
  for (;; ++bytes) {
    const auto step = kill_after(bytes, 20);
    CHECK(step.failed == 0);
    if (!step.died_sending) break;
  }
  CHECK(bytes > 20);
}

TEST_CASE("W5: a worker killed within a large message costs its task and is never parsed", "[no_tsan]") {
  const std::size_t bytes = GENERATE(0U, 1U, 31U, 32U, 33U, 4096U, 65'536U, 1'000'003U, large / 2, large, large + 31);
  const auto step = kill_after(bytes, large);
  CHECK(step.died_sending);
  CHECK(step.failed == 1);
}

TEST_CASE("W6: a worker killed at any system call costs at most its task, and no other is lost or run twice",
          "[no_tsan]") {
  constexpr int most_calls = 1000;
  constexpr int count = 30;
  const pid_t parent = getpid();
  int which = 1;
  for (bool reached = true; reached && which < most_calls; ++which) {
    shared_counters executed(count);
    shared_counters calls(1);
    const call_faults faults([&](call) {
      if (getpid() == parent || !lenskit::is_worker()) return 0;
      return ++calls[0] == which ? kill_this_process() : 0;
    });
    auto options = on(processes);
    options.chunk_size = 3;
    invoker inv(
        0,
        [&](int, int x) {
          ++executed[static_cast<std::size_t>(x)];
          return x;
        },
        options);
    int index = 0;
    int failed = 0;
    for (const auto& each : inv.map_outcomes(std::views::iota(0, count))) {
      INFO("call " << which << ", index " << index);
      failed += each.has_error();
      if (each.has_value()) REQUIRE(*each == index);
      REQUIRE(executed[static_cast<std::size_t>(index)] == 1);
      ++index;
    }
    REQUIRE(index == count);
    REQUIRE(failed == 0);  // no call of the library is made within a task
    reached = calls[0] >= which;
  }
  CHECK(which > 10);
}

TEST_CASE("W6: a task whose worker died is run again as often as asked, and no other", "[no_tsan]") {
  constexpr std::size_t count = 20;
  const int deaths = GENERATE(1, 2, 3);
  shared_counters executed(count);
  auto options = on(processes);
  options.max_retries = 2;
  options.chunk_size = GENERATE(0U, 1U, 10U);
  invoker inv(
      0,
      [&](int, int x) {
        if (++executed[static_cast<std::size_t>(x)] <= deaths && x == 7) raise(SIGKILL);
        return x;
      },
      options);
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, int{count}))) {
    CHECK(each.has_value() == (index != 7 || deaths <= 2));
    CHECK(executed[static_cast<std::size_t>(index)] == (index != 7 ? 1 : std::min(deaths, 2) + 1));
    ++index;
  }
}

#endif
