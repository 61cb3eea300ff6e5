// Whether a leader waits awake for the result of a short task.
//
// To be woken on another processor takes 20 to 40 µs, which is more than many a task lasts. Looking out for the result
// instead costs nothing only while a processor has nothing else to do and the worker runs on another one, and it pays
// only if the result comes soon. So it is done for a single short chunk on a pool that is idle otherwise, and after
// each time that was in vain it is left out for longer.
#pragma once

#include <algorithm>
#include <chrono>

namespace lenskit::detail {

/// Not thread-safe.
class vigil {
 public:
  /// About twice what it takes to wake a worker on another processor and to be answered.
  static constexpr std::chrono::nanoseconds longest = std::chrono::microseconds(150);

  /// Whether the next wait is to be spent awake. Asked once for each that could be.
  [[nodiscard]] bool next() noexcept {
    if (left_out_ >= to_leave_out_) return true;
    ++left_out_;
    return false;
  }
  /// Takes in whether what was waited for came before the end of one that was.
  void ended(bool in_time) noexcept {
    constexpr int most = 63;
    left_out_ = 0;
    to_leave_out_ = in_time ? 0 : std::min(2 * to_leave_out_ + 1, most);
  }

 private:
  int left_out_ = 0;  // waits since the last one that was spent awake
  int to_leave_out_ = 0;
};

}  // namespace lenskit::detail
