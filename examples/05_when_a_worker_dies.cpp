// A crash or a hang costs the task that had it, and nothing else: its worker is replaced.
#include <lenskit/parallel.hpp>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <thread>
#include <vector>

static int fragile(const int& offset, int user) {
  if (user == 2) {
    spdlog::warn("user {} has a broken history", user);
    std::raise(SIGSEGV);
  }
  if (user == 4) throw std::out_of_range("no such user");
  if (user == 6) std::this_thread::sleep_for(std::chrono::hours(1));
  return offset + user;
}

static void explain(const std::exception_ptr& why) {
  try {
    std::rethrow_exception(why);
  } catch (const lenskit::worker_died& death) {
    std::printf("task %zu: its worker died of signal %d, after it had logged:\n", death.index(), *death.signal());
    for (const auto& line : death.log_tail()) std::printf("  %s\n", line.c_str());
  } catch (const lenskit::task_timeout& late) {
    std::printf("task %zu: ran for longer than %lld ms\n", late.index(),
                static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(late.limit()).count()));
  } catch (const std::out_of_range& error) {  // an exception of a task keeps its standard type
    const auto& task = dynamic_cast<const lenskit::task_error&>(error);
    std::printf("task %zu: %s\n", task.index(), task.message().c_str());
  }
}

int main() {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("tasks"));
  const int offset = 100;
  lenskit::invoker inv(offset, fragile, {.n_jobs = 2, .task_timeout = std::chrono::milliseconds(300)});
  for (const auto& outcome : inv.map_outcomes(std::vector{1, 2, 3, 4, 5, 6, 7})) {
    if (outcome) {
      std::printf("result %d\n", *outcome);
    } else {
      explain(outcome.error());
    }
  }
}

// Output:
// result 101
// task 1: its worker died of signal 11, after it had logged:
//   ...user 2 has a broken history
// result 103
// task 3: no such user
// result 105
// task 5: ran for longer than 300 ms
// result 107
