// One bar: its identity, which parent and workers share, and the rate at which it moves.
#pragma once

#include <lenskit/detail/log/bar_plan.hpp>
#include <lenskit/progress.hpp>

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string_view>

namespace lenskit::detail {

/// The number of a bar: the process it was made in, and a count there. Inherited by forked workers, so the bar that
/// `fn` has captured is the parent's.
enum class bar_id : std::uint64_t {};

[[nodiscard]] constexpr std::uint32_t process_of(bar_id id) noexcept {
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(id) >> 32);
}

/// A bar on the board of the parent, or a source of progress reports in a worker.
class bar final : public progress {
 public:
  bar(bar_plan plan, std::initializer_list<std::string_view> states);
  /// The picture, in the parent, of a bar that a worker made: `id` is its number there.
  bar(bar_plan plan, bar_id id, std::int64_t via);
  ~bar() override;

  void update(int n, std::string_view state, std::string_view from) override;
  void finish() override;

  [[nodiscard]] bar_id id() const noexcept { return id_; }
  [[nodiscard]] const bar_plan& plan() const noexcept { return plan_; }
  /// The worker whose reports this bar shows; 0 for a bar of this process.
  [[nodiscard]] std::int64_t via() const noexcept { return via_; }
  /// Nanoseconds since the bar was made.
  [[nodiscard]] std::int64_t age() const noexcept;
  /// Items per second, the last seconds counting most. For the board, which calls it under its lock.
  [[nodiscard]] double rate() noexcept;
  /// True once every ten seconds: time for another plain line.
  [[nodiscard]] bool plain_line_due() noexcept;

 private:
  const bar_plan plan_;
  const bar_id id_;
  const std::int64_t via_;
  const std::int64_t started_;
  std::atomic<std::int64_t> last_plain_;
  std::int64_t sampled_at_;
  std::int64_t sampled_count_ = 0;
  double rate_ = 0;
};

[[nodiscard]] std::shared_ptr<progress> make_bar(bar_plan plan, std::initializer_list<std::string_view> states);

}  // namespace lenskit::detail
