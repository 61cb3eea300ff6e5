// What the attendant of worker processes looks after: their logs, and its bell.
#pragma once

#include <lenskit/detail/log/report_reader.hpp>
#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/os/poller.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace lenskit::detail {

/// Thread-safe.
class attendance {
 public:
  /// While sinks take no more, reports wait in their pipes, which go on saying that there is something to read.
  static constexpr std::chrono::milliseconds rest_while_full{10};

  /// Throws std::system_error, std::bad_alloc.
  explicit attendance(int workers);

  /// Readable when there is something to look after.
  [[nodiscard]] int fd() const noexcept { return poller_.fd(); }
  /// From now on what a worker reports is heard. Throws std::system_error.
  void hear(int worker, std::shared_ptr<report_reader> reports);
  /// No more of this worker.
  void forget(int worker) noexcept;
  /// Passes on what has been logged, or waits for some until `until`. True if the bell rang, somebody interrupted,
  /// or it is time to look around.
  bool drain(steady::time_point until);
  /// Does so until the bell rings or somebody interrupts.
  void attend();
  /// Makes `attend` return: after a time, or at once, which is async-signal-safe.
  void ring_in(std::chrono::nanoseconds delay) const noexcept { bell_.ring_in(delay); }
  void interrupt() const noexcept { interrupt_.raise(); }

 private:
  poller poller_;
  wakeup interrupt_;
  bell bell_;
  std::mutex mutex_;  // of the next
  std::vector<std::shared_ptr<report_reader>> reports_;
  std::size_t last_bytes_ = 0;  // that the last `drain` passed on
};

}  // namespace lenskit::detail
