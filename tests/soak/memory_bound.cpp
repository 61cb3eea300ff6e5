// G11: input without an end in bounded memory, and a frame that no 32-bit length can tell.
#include "disposable.hpp"
#include "trial.hpp"

#include <lenskit/invoker.hpp>

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

namespace lenskit::soak {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t buffer = 100;
constexpr std::size_t large_payload = 4'100'000'000;
// The result and its encoded form in the worker, the frame and what is decoded of it in the parent.
constexpr std::size_t room_for_large = 4 * large_payload + (std::size_t{1} << 30);
constexpr auto watchdog = 300s;
enum counter { most_ahead, growth };

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t all = 0, resident = 0;
  statm >> all >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

std::size_t available_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string name, unit;
  std::size_t kib = 0;
  while (file >> name >> kib) {
    if (name == "MemAvailable:") return kib << 10;
    std::getline(file, unit);
  }
  return 0;
}

// The first of each thousand is slow, the results are of some size, the consumer is slow now and then.
void endless_input(notes& seen, long results) {
  constexpr int kilo = 1000;
  constexpr std::size_t result_bytes = 10'000;
  lenskit::invoker inv(0,
                       [](int, int task) {
                         if (task % kilo == 0) std::this_thread::sleep_for(10ms);
                         return std::string(result_bytes, static_cast<char>(task));
                       },
                       {.n_jobs = 2, .engine = engine::processes, .buffer_size = buffer});
  long pulled = 0;
  long yielded = 0;
  long ahead = 0;
  std::size_t settled = 0;
  auto endless = std::views::iota(0) | std::views::transform([&](int task) { return ++pulled, task; });
  for (const auto& each : inv.map(endless)) {
    ahead = std::max(ahead, pulled - yielded);
    if (each != std::string(result_bytes, static_cast<char>(yielded)))
      seen.complain(fmt::format("result {} is wrong", yielded));
    if (yielded % (7 * kilo) == 0) std::this_thread::sleep_for(5ms);
    if (++yielded == results / 4) settled = resident_bytes();
    if (yielded == results) break;
  }
  const auto now = resident_bytes();
  seen.counters[most_ahead] = ahead;
  seen.counters[growth] = now > settled ? static_cast<std::int64_t>(now - settled) : 0;
}

void large_result(notes& seen) {
  lenskit::invoker inv(0,
                       [](int, std::size_t bytes) {
                         std::string text(bytes, 'x');
                         text.back() = 'y';
                         return text;
                       },
                       {.n_jobs = 1, .engine = engine::processes});
  for (const auto& each : inv.map(std::vector{large_payload})) {
    if (each.size() != large_payload || each.front() != 'x' || each.back() != 'y') seen.complain("it came changed");
  }
}

}  // namespace

std::vector<score> memory_bound(const settings& how) {
  score result{"G11", false, "endless input was not survived"};
  disposable_processes runs(1, watchdog, [&](const ending& end) {
    for (const auto& line : end.complaints) std::printf("%s: %s\n", end.label.c_str(), line.c_str());
    constexpr std::int64_t most_growth = 4 << 20;
    const auto ahead = end.counters[most_ahead];
    const auto grown = end.counters[growth];
    result.met = end.complaints.empty() && ahead <= static_cast<std::int64_t>(buffer) && grown < most_growth;
    result.figure =
        fmt::format("{} results of endless input: at most {} in flight (buffer_size {}), {:.1f} MiB of growth",
                    how.runs, ahead, buffer, static_cast<double>(grown) / (1 << 20));
  });
  runs.start("endless input", [&](notes& seen) { endless_input(seen, how.runs); });
  runs.finish();
  return {result};
}

std::vector<score> large_frame(const settings&) {
  score result{"G11", false,
               fmt::format("no memory here for a frame of {} bytes, which takes {}", large_payload, room_for_large)};
  if (available_bytes() < room_for_large) return {result};
  disposable_processes runs(1, watchdog, [&](const ending& end) {
    for (const auto& line : end.complaints) std::printf("%s: %s\n", end.label.c_str(), line.c_str());
    result.met = end.complaints.empty();
    result.figure =
        fmt::format("a result of {} bytes in {:.0f} s", large_payload, std::chrono::duration<double>(end.took).count());
  });
  runs.start("large result", large_result);
  runs.finish();
  return {result};
}

}  // namespace lenskit::soak
