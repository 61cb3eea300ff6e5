// The end of a worker process: when it is to be made to end, and what is known of its death.
#pragma once

#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/os/process.hpp>

#include <atomic>
#include <optional>

namespace lenskit::detail {

/// Whether the pool ends it. Placed under the dispatcher's lock, read by the leader without.
class ending_order {
 public:
  [[nodiscard]] bool is_placed() const noexcept { return placed_; }
  /// It has been asked to end, and is to be killed at that time.
  void place(steady::time_point kill_at) noexcept {
    placed_ = true;
    kill_at_ = kill_at;
  }
  [[nodiscard]] steady::time_point kill_at() const noexcept { return kill_at_.load(); }
  /// Whether it is to be killed now. Once.
  [[nodiscard]] bool take_kill(steady::time_point now) noexcept {
    if (now < kill_at()) return false;
    kill_at_ = steady::time_point::max();
    return true;
  }

 private:
  std::atomic<bool> placed_{false};
  std::atomic<steady::time_point> kill_at_{steady::time_point::max()};
};

/// What is known of its death.
struct worker_end {
  std::optional<steady::time_point> seen_at{};  ///< when the pidfd said so
  std::optional<exit_status> status{};          ///< from the spawner, or empty if that does not tell
  int start_error = 0;                          ///< errno of the fork, if it never lived
  bool told = false;                            ///< that it is dead

  [[nodiscard]] bool awaits_burial() const noexcept { return status && !told; }
  /// Whether it has ended for so long that the spawner should have told its status.
  [[nodiscard]] bool is_overdue(steady::time_point now, steady::duration patience) const noexcept {
    return seen_at && !status && now - *seen_at > patience;
  }
};

}  // namespace lenskit::detail
