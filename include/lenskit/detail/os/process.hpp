// A process seen through its pidfd: signals that cannot hit a stranger, waits that need no SIGCHLD.
#pragma once

#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/os/exit_status.hpp>

#include <sys/types.h>

#include <chrono>
#include <optional>

namespace lenskit::detail {

/// Handle of a process; does not end it when destroyed.
class process {
 public:
  process() noexcept = default;
  process(pid_t pid, descriptor pidfd) noexcept : pid_(pid), pidfd_(std::move(pidfd)) {}

  /// The process `pid`, which must be a child of the caller that is not reaped yet, or the caller's own parent.
  /// Throws std::system_error.
  [[nodiscard]] static process open(pid_t pid);

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] int pidfd() const noexcept { return pidfd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(pidfd_); }

  /// Sends `signal`; does nothing if the process is gone. False if this process may not.
  bool signal(int signal) const noexcept;
  /// The same for the group that it leads or led, dead or not. Nothing happens before Linux 6.9.
  void signal_group(int signal) const noexcept;
  /// Whether its first thread has ended and others have not, so that it may never end by itself (W2). False where /proc
  /// does not tell.
  [[nodiscard]] bool is_headless() const noexcept;
  /// What it has computed; 0 if that is not known, or it is gone.
  [[nodiscard]] std::chrono::nanoseconds processor_time() const noexcept;
  /// Waits until the process has ended; false if it had not by `deadline`.
  [[nodiscard]] bool wait_ended(steady::time_point deadline) const noexcept;
  /// Whether a child was stopped or went on since this was last asked: true and false; nothing if neither.
  [[nodiscard]] std::optional<bool> newly_stopped() const noexcept;
  /// Reaps an ended child and tells how it ended; empty status where somebody else reaped it. Does not block.
  [[nodiscard]] std::optional<exit_status> reap() const noexcept;

 private:
  pid_t pid_ = -1;
  descriptor pidfd_;
};

/// From here on the calling process waits its turn when it wakes up, rather than displacing one that runs
/// (SCHED_BATCH); what it starts inherits that. Does nothing to a process that is not scheduled as most are.
void schedule_as_batch() noexcept;

}  // namespace lenskit::detail
