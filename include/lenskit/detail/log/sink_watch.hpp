// Whether the user's sinks get on, as far as those see who wait for them.
#pragma once

#include <lenskit/detail/os/clock.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

namespace lenskit::detail {

/// Slow: somebody has waited in vain, and nobody waits until all that is queued is delivered. Hanging: so slow that
/// what is reported had better be dropped. Anybody may ask; what changes the answers is guarded by the delivery's lock.
class sink_watch {
 public:
  /// How long one delivery may take before it is slow.
  static constexpr std::chrono::milliseconds patience{100};

  [[nodiscard]] bool slow() const noexcept { return slow_; }
  /// As `look` has found last.
  [[nodiscard]] bool hanging() const noexcept { return hanging_; }

  /// Somebody has waited for `patience` in vain.
  void note_slow(steady::time_point now) noexcept;
  /// To be called again and again while the queue is full; `delivered` counts what has been. Whether they hang.
  bool look(steady::time_point now, std::uint64_t delivered) noexcept;
  /// All is delivered. Returns how long they were slow, if that is to be told: once, twice, four times ...
  std::optional<steady::duration> catch_up(steady::time_point now) noexcept;

 private:
  std::atomic<bool> slow_{false};
  std::atomic<bool> hanging_{false};
  steady::time_point slow_since_{};
  std::uint64_t times_slow_ = 0;  // caught up after having been slow
  // How long nothing has been delivered, as far as `look` has seen.
  steady::duration stuck_for_{};
  steady::time_point looked_at_{};
  std::uint64_t delivered_then_ = 0;
};

}  // namespace lenskit::detail
