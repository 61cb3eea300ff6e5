// G6: the time from a worker's death to the error in the consumer's hand, on a machine whose cores are all busy.
#include "disposable.hpp"
#include "trial.hpp"

#include <lenskit/detail/os/clock.hpp>
#include <lenskit/invoker.hpp>

#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <new>
#include <ranges>
#include <thread>
#include <vector>

namespace lenskit::soak {
namespace {

using namespace std::chrono_literals;

constexpr int deaths_a_process = 50;
constexpr auto watchdog = 120s;

void die_again_and_again(notes& seen) {
  // As many burning threads as cores: the pool must get its turn beside them.
  std::vector<std::jthread> burners;
  for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
    burners.emplace_back([](const std::stop_token& enough) {
      while (!enough.stop_requested()) continue;
    });
  }
  using moment = std::atomic<std::int64_t>;
  void* room = ::mmap(nullptr, sizeof(moment), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) throw std::bad_alloc();
  auto* died_at = new (room) moment(0);
  lenskit::invoker inv(
      0,
      [died_at](int, int task) {
        if (task == 1) {
          *died_at = detail::now_ns();
          ::raise(SIGKILL);
        }
        return task;
      },
      2);
  for (int death = 0; death < deaths_a_process; ++death) {
    int failed = 0;
    for (const auto& each : inv.map_outcomes(std::views::iota(0, 4))) {
      if (each) continue;
      ++failed;
      seen.took(std::chrono::nanoseconds(detail::now_ns() - *died_at));
    }
    if (failed != 1) seen.complain(fmt::format("{} tasks failed of one death", failed));
  }
}

}  // namespace

std::vector<score> death_latency(const settings& how) {
  std::vector<std::int64_t> times;
  long faulty = 0;
  disposable_processes runs(1, watchdog, [&](const ending& end) {
    for (const auto& line : end.complaints) std::printf("%s: %s\n", end.label.c_str(), line.c_str());
    faulty += end.complaints.empty() ? 0 : 1;
    times.insert(times.end(), end.times_ns.begin(), end.times_ns.end());
  });
  for (long deaths = 0; deaths < how.runs; deaths += deaths_a_process)
    runs.start("deaths under load", die_again_and_again);
  runs.finish();
  if (times.empty()) return {{"G6", false, "no death was seen"}};
  std::sort(times.begin(), times.end());
  constexpr double ms = 1e6;
  const double median = static_cast<double>(times[times.size() / 2]) / ms;
  const double p99 = static_cast<double>(times[times.size() * 99 / 100]) / ms;
  const double most = static_cast<double>(times.back()) / ms;
  constexpr double most_p99 = 100, most_ever = 1000;
  return {
      {"G6", faulty == 0 && p99 <= most_p99 && most <= most_ever,
       fmt::format("death to error: median {:.2f} ms, p99 {:.2f} ms, longest {:.2f} ms, of {} deaths with every core "
                   "busy",
                   median, p99, most, times.size())}};
}

}  // namespace lenskit::soak
