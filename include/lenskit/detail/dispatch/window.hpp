// What a map call has out: its chunks in the order of the input, from the first that the consumer has not taken whole.
#pragma once

#include <lenskit/detail/dispatch/chunk.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace lenskit::detail {

/// Guarded by the dispatcher's lock. Asks for no memory and throws nothing.
class window {
 public:
  explicit window(result_order order) noexcept : order_(order) {}

  [[nodiscard]] bool empty() const noexcept { return chunks_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return chunks_.size(); }
  /// Bytes of arguments and results in it.
  [[nodiscard]] std::size_t held_bytes() const noexcept { return held_bytes_; }
  /// Tasks, of the whole call.
  [[nodiscard]] std::uint64_t submitted() const noexcept { return submitted_; }
  [[nodiscard]] std::uint64_t settled() const noexcept { return settled_; }
  /// Whether the consumer can take something.
  [[nodiscard]] bool has_outcomes() const noexcept;

  /// Adds a chunk behind all others.
  void add(std::shared_ptr<chunk> work) noexcept;
  /// Gives the tasks of `from` from `position` on to `rest`, which is new.
  void split(chunk& from, std::uint32_t position, std::shared_ptr<chunk> rest) noexcept;
  /// The next tasks of a chunk have got an outcome: the first part of `part`, whose `count` says how many.
  void settle(const std::shared_ptr<chunk>& of, outcome_list part) noexcept;
  /// All unsettled tasks of a chunk fail: as `failure` says, or are cancelled where that is null.
  void fail(const std::shared_ptr<chunk>& of, const std::exception_ptr& failure) noexcept;
  /// Moves the outcomes that can be consumed now to the end of `taken`: those at the front, or all.
  void take(outcome_list& taken) noexcept;
  /// The consumer has gone: nothing of it is wanted any more.
  void abandon() noexcept;

  [[nodiscard]] auto begin() const noexcept { return chunks_.begin(); }
  [[nodiscard]] auto end() const noexcept { return chunks_.end(); }

 private:
  bool take_from(chunk& from, outcome_list& taken) noexcept;

  const result_order order_;
  chunk_list<&chunk::in_window> chunks_;
  chunk_list<&chunk::ready> ready_;
  std::size_t held_bytes_ = 0;
  std::uint64_t submitted_ = 0;
  std::uint64_t settled_ = 0;
  bool abandoned_ = false;
};

}  // namespace lenskit::detail
