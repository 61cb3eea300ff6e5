// The one clock that waits and measurements use: monotonic, so that a jump of the wall clock changes nothing (P8).
#pragma once

#include <chrono>
#include <cstdint>

namespace lenskit::detail {

using steady = std::chrono::steady_clock;

/// Nanoseconds on the monotonic clock, the same in parent and workers.
inline std::int64_t now_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(steady::now().time_since_epoch()).count();
}

/// `delay` behind `from`; never, if that is beyond what the clock can say (K5).
inline steady::time_point after(steady::time_point from, std::chrono::nanoseconds delay) noexcept {
  return delay >= steady::time_point::max() - from ? steady::time_point::max() : from + delay;
}

/// What `poll` and `epoll_wait` take for "until `deadline`", rounded up; -1 for no deadline
/// (`steady::time_point::max()`).
inline int milliseconds_until(steady::time_point deadline) noexcept {
  if (deadline == steady::time_point::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - steady::now()).count();
  constexpr std::int64_t longest = 60'000;
  return static_cast<int>(left < 0 ? 0 : left > longest ? longest : left);
}

}  // namespace lenskit::detail
