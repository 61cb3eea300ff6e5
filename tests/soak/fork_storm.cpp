// G8: pools start beside threads that hold the locks of libc, the loader and spdlog as often as they can.
#include "disposable.hpp"
#include "trial.hpp"

#include <lenskit/detail/os/system.hpp>
#include <lenskit/invoker.hpp>

#include <dlfcn.h>
#include <fmt/format.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/spdlog.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace lenskit::soak {
namespace {

using namespace std::chrono_literals;

constexpr long pools_a_process = 100;
constexpr auto watchdog = 120s;
enum counter { pools, wrong, slow };
// One pool with its two workers and eight tasks; the storm leaves it a fraction of the machine.
constexpr auto slow_start = 2s;

class fork_counter final : public detail::sys::interceptor {
 public:
  fork_counter() { detail::sys::intercept(this); }
  ~fork_counter() override { detail::sys::intercept(nullptr); }
  fork_counter(const fork_counter&) = delete;
  fork_counter& operator=(const fork_counter&) = delete;
  int fail(detail::sys::call which) noexcept override {
    if (which == detail::sys::call::fork) ++forks_;
    return 0;
  }
  long take() { return forks_.exchange(0); }

 private:
  std::atomic<long> forks_{0};  // of this process: a child counts in its own copy
};

std::vector<std::jthread> storm() {
  std::vector<std::jthread> threads;
  const auto hammer = [&](auto strike) {
    threads.emplace_back([strike](const std::stop_token& enough) {
      while (!enough.stop_requested()) strike();
    });
  };
  hammer([] {
    const time_t now = ::time(nullptr);
    tm parts{};
    ::localtime_r(&now, &parts);
  });
  hammer([] { ::setenv("LENSKIT_SOAK_STORM", "1", 1); });
  hammer([] {
    const std::vector<std::unique_ptr<std::string>> much(64);
    std::string text(5000, 'x');
    spdlog::info(text);
  });
  hammer([] {
    if (void* library = ::dlopen("libm.so.6", RTLD_NOW)) ::dlclose(library);
  });
  return threads;
}

void start_pools(notes& seen) {
  spdlog::set_default_logger(spdlog::null_logger_mt("storm"));
  fork_counter forks;
  const auto threads = storm();
  for (long pool = 0; pool < pools_a_process; ++pool) {
    const auto begun = steady::now();
    {
      lenskit::invoker inv(
          3,
          [](int factor, int task) {
            spdlog::info("task {}", task);
            return factor * task;
          },
          2);
      if (inv.map(std::vector{1, 2, 3, 4, 5, 6, 7, 8}).collect() != std::vector{3, 6, 9, 12, 15, 18, 21, 24})
        ++seen.counters[wrong];
    }
    const auto time = steady::now() - begun;
    if (time > slow_start) ++seen.counters[slow];
    ++seen.counters[pools];
    seen.took(std::chrono::nanoseconds(forks.take() - 1));  // forks beyond the first, told as nanoseconds
  }
}

}  // namespace

std::vector<score> fork_storm(const settings& how) {
  std::vector<std::int64_t> reforks;
  std::int64_t started = 0, faulty = 0, slow_ones = 0;
  disposable_processes runs(1, watchdog, [&](const ending& end) {
    for (const auto& line : end.complaints) std::printf("%s: %s\n", end.label.c_str(), line.c_str());
    faulty += end.counters[wrong] + (end.complaints.empty() ? 0 : 1);
    started += end.counters[pools];
    slow_ones += end.counters[slow];
    reforks.insert(reforks.end(), end.times_ns.begin(), end.times_ns.end());
  });
  const long processes = std::max(how.runs / pools_a_process, 1L);
  for (long each = 0; each < processes; ++each) runs.start("pools in a storm", start_pools);
  runs.finish();
  std::sort(reforks.begin(), reforks.end());
  const auto p99 = reforks.empty() ? 0 : reforks[reforks.size() * 99 / 100];
  constexpr int most_reforks = 3;
  return {
      {"G8", faulty == 0 && p99 <= most_reforks && started == processes * pools_a_process,
       fmt::format("{} pools started beside hammering threads, {} hung or wrong; forks beyond the first: {} at p99, "
                   "{} at most; {} starts took longer than {} s",
                   started, faulty, p99, reforks.empty() ? 0 : reforks.back(), slow_ones, slow_start / 1s)}};
}

}  // namespace lenskit::soak
