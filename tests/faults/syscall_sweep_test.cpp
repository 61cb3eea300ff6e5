// Every system call of a pool's life may fail: the outcome is a result or a typed error, never a hang or a leak (G5).
#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/invoker.hpp>

#include <spdlog/sinks/null_sink.h>
#include <spdlog/spdlog.h>
#include <support/catch.hpp>
#include <support/syscall_faults.hpp>

#include <sys/wait.h>

#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
constexpr int n_tasks = 10;
constexpr int deadly_task = 7;

enum ending : int { fine = 0, typed_error = 11, wrong_result = 2, lost = 3, leaked = 20, not_reached = 30, hung = 99 };

// A pool from its start to its end, with a worker that dies on the way.
int live_through() {
  const std::vector<int> model{1, 2, 3};
  try {
    lenskit::invoker inv(
        model,
        [](const std::vector<int>& m, int task) {
          if (task == deadly_task) _exit(1);
          return task * m[1];
        },
        2);
    std::vector<int> tasks;
    for (int task = 0; task < n_tasks; ++task) tasks.push_back(task);
    int seen = 0;
    for (auto& each : inv.map_outcomes(tasks)) {
      if (each && *each != 2 * seen) return wrong_result;
      ++seen;
    }
    return seen == n_tasks ? fine : lost;
  } catch (const std::exception&) {
    return typed_error;
  }
}

// In a process of its own, because a fault may leave it in any state.
int outcome_with_fault(int which, int error) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    for (const int number : {SIGABRT, SIGSEGV, SIGTERM}) signal(number, SIG_DFL);
    spdlog::set_default_logger(spdlog::null_logger_mt("sweep"));
    const int before = lenskit::detail::descriptors_owned();
    lenskit::tests::fault_at fault(which, [error] { return error; });
    int end = live_through();
    if (lenskit::detail::descriptors_owned() != before) end = leaked;
    if (end == fine && !fault.reached()) end = not_reached;
    _exit(end);
  }
  const auto deadline = std::chrono::steady_clock::now() + 25s;
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      return hung;
    }
    std::this_thread::sleep_for(1ms);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

}  // namespace

TEST_CASE("G5: whichever system call of a pool fails, it gives results or a typed error", "[faults][no_tsan]") {
  const int error = GENERATE(EMFILE, EINTR, ENOMEM, EIO);
  constexpr int most_calls = 2000;
  constexpr int unreached_enough = 6;  // the number of calls varies a little from run to run
  int calls = 0;
  for (int which = 1, unreached = 0; which < most_calls && unreached < unreached_enough; ++which) {
    const int end = outcome_with_fault(which, error);
    unreached = end == not_reached ? unreached + 1 : 0;
    if (end == not_reached) continue;
    ++calls;
    CAPTURE(which, error, end);
    REQUIRE((end == fine || end == typed_error));
  }
  REQUIRE(calls > 50);
}
