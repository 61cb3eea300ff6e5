// Progress of a map call or of a loop: counts of items by state, and the bars that show them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lenskit {

namespace detail {
class state_counts;
}

/// Counts items by their state. The base of the bars, and of whatever a user wants to be told of progress.
///
///     struct to_gui : lenskit::progress {
///       void update(int n, std::string_view state, std::string_view from) override {
///         progress::update(n, state, from);
///         window.set_fraction(double(count()) / double(total().value_or(1)));
///       }
///     };
///     lenskit::invoker inv(model, fn, {.progress = std::make_shared<to_gui>()});
///
/// A pool calls `update` from the threads that call `map` and from its own: an override has to be thread-safe, as this
/// one is, and should be quick. What it throws is swallowed by the pool. Nothing here blocks.
///
/// LensKit: the `Progress` of its progress API; there states are declared when a bar is made, here when they are used.
class progress {
 public:
  /// The state that counts as done, and the one meant where none is named.
  static constexpr std::string_view finished_state = "finished";

  /// `total` is the number of items, if known.
  explicit progress(std::string label = {}, std::optional<std::size_t> total = {});
  virtual ~progress();
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;

  /// `n` more items are in `state` ("finished" if empty). If `from` is not empty, they were in that state before.
  /// Beyond 16 different states further ones are not counted. Never blocks.
  virtual void update(int n = 1, std::string_view state = {}, std::string_view from = {});

  /// There is nothing more to come. May be called more than once.
  virtual void finish();

  [[nodiscard]] const std::string& label() const noexcept { return label_; }
  [[nodiscard]] std::optional<std::size_t> total() const noexcept { return total_; }
  /// The number of items in `state` now.
  [[nodiscard]] std::int64_t count(std::string_view state = finished_state) const noexcept;
  /// All states seen so far, in the order of their first use, with the number of items in each.
  [[nodiscard]] std::vector<std::pair<std::string, std::int64_t>> counts() const;
  [[nodiscard]] bool is_finished() const noexcept;

 private:
  const std::string label_;
  const std::optional<std::size_t> total_;
  std::unique_ptr<detail::state_counts> counts_;
};

/// A bar for the items of an invoker: dispatched, in-progress, finished.
///
///     lenskit::invoker inv(model, fn, {.progress = lenskit::invoke_progress("recommending", users.size())});
///
/// On a terminal it is a line at the bottom, on standard error, with the rate and the time that remains, redrawn at
/// most ten times a second; several bars stack, and lines of spdlog's `_mt` console sinks appear above them. Elsewhere,
/// and with `TERM=dumb`, it is a log line every ten seconds and one at the end. `NO_COLOR` is honoured. What is written
/// to the terminal past spdlog may land beside a bar. `total`: number of items, if known.
///
/// Throws std::bad_alloc. Does not block, but for a terminal that is held up. The bar ends with `finish` or with its
/// last owner. Thread-safe. In a worker the bar of the parent is updated.
///
/// LensKit: the same, with the progress backend chosen by configuration; here there is this one or the user's own.
[[nodiscard]] std::shared_ptr<progress> invoke_progress(std::string label, std::optional<std::size_t> total = {});

/// A bar for the items of a loop, in the parent or inside `fn` in a worker.
///
///     auto bar = lenskit::item_progress("epochs", 20);
///     for (int epoch = 0; epoch < 20; ++epoch) { train(epoch); bar->update(); }
///
/// Looks as that of `invoke_progress`. One made before an invoker and captured by `fn` counts the items of all workers
/// together; one made in `fn` is a line of its own in the parent while it lives. Workers send at most ten updates a
/// second for each bar, and the rest when the bar finishes or the task ends.
///
/// Throws, blocks and safety: as `invoke_progress`.
///
/// LensKit: the same.
[[nodiscard]] std::shared_ptr<progress> item_progress(std::string label, std::optional<std::size_t> total = {});

}  // namespace lenskit
