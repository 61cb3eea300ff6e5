// How many tasks a worker runs between two looks at the clock: to look after each would cost as much as a short task.
#pragma once

#include <cstdint>

namespace lenskit::detail {

/// Grows while tasks are short, and shrinks when they become long. Times are monotonic ns.
class clock_stride {
 public:
  /// A chunk of so many tasks begins.
  void begin(std::uint32_t tasks, std::int64_t now) noexcept;
  /// A task is about to begin: whether the clock is to be looked at before.
  [[nodiscard]] bool is_over() noexcept { return --left_ == 0; }
  /// Tasks that may begin before the next look ...
  [[nodiscard]] std::uint32_t left() const noexcept { return left_ - 1; }
  /// ... and so many have, without a question whether it is over.
  void advance(std::uint32_t tasks) noexcept { left_ -= tasks; }
  /// It is over, and the clock was looked at.
  void renew(std::int64_t now) noexcept;

 private:
  std::uint32_t left_ = 1;  // until the next look, which is before the last of them
  std::uint32_t tasks_ = 1;
  std::uint32_t most_ = 1;
  std::int64_t began_at_ = 0;
};

}  // namespace lenskit::detail
