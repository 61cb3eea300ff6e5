// Tasks that last as long as they are told, to some microseconds: by sleeping, so that no processor is short of, or by
// work.
#pragma once

#include <support/contest.hpp>
#include <support/work.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <queue>
#include <thread>
#include <vector>

namespace bench {

/// Seconds of a clock that all processes share.
[[nodiscard]] inline double clock_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Lasts for `seconds`. A sleeper wakes too late, so the last bit of it is waited for with open eyes.
inline void sleep_exactly(double seconds) {
  constexpr double woken_late = 100e-6;
  const auto end = clock_seconds() + seconds;
  if (seconds > woken_late) std::this_thread::sleep_for(std::chrono::duration<double>(seconds - woken_late));
  while (clock_seconds() < end) {}
}

/// When the last of tasks that last so many seconds ends, if each of `at_once` workers takes the next as soon as it is
/// free.
[[nodiscard]] inline double greedy_makespan(const std::vector<double>& lengths, int at_once) {
  std::priority_queue<double, std::vector<double>, std::greater<>> free_at;
  for (int worker = 0; worker < at_once; ++worker) free_at.push(0);
  double end = 0;
  for (const auto each : lengths) {
    const auto done = free_at.top() + each;
    free_at.pop();
    free_at.push(done);
    end = std::max(end, done);
  }
  return end;
}

}  // namespace bench
