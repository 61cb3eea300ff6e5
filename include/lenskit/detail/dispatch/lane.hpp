// What one worker has been given and has not finished.
#pragma once

#include <lenskit/detail/dispatch/call.hpp>
#include <lenskit/detail/dispatch/engine.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace lenskit::detail {

/// A worker's chunks, in the order in which it works through them. Knows how much work they are without looking at each
/// of them: with many workers that is asked for every chunk that is given out. Guarded by the dispatcher's lock.
class lane {
 public:
  [[nodiscard]] bool empty() const noexcept { return chunks_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return chunks_.size(); }
  [[nodiscard]] auto begin() const noexcept { return chunks_.begin(); }
  [[nodiscard]] auto end() const noexcept { return chunks_.end(); }
  /// The one it works at.
  [[nodiscard]] const std::shared_ptr<chunk>& front() const noexcept { return chunks_.front(); }
  /// Null if it has no chunk of that name.
  [[nodiscard]] std::shared_ptr<chunk> find(std::uint64_t id) const {
    const auto found = std::find_if(begin(), end(), [&](const auto& each) { return each->id == id; });
    return found == end() ? nullptr : *found;
  }

  void add(std::shared_ptr<chunk> work) {
    if (empty()) {
      call_ = work->call.get();
      tasks_ = 0;
    } else if (call_ != work->call.get()) {
      call_ = nullptr;
    }
    tasks_ += work->unsettled();
    chunks_.push_back(std::move(work));
  }
  /// Of its chunks, `count` tasks more have got an outcome.
  void note_settled(std::uint32_t count) noexcept { tasks_ -= count; }
  void remove(const chunk& work) {
    tasks_ -= work.unsettled();
    std::erase_if(chunks_, [&](const auto& each) { return each.get() == &work; });
  }
  std::vector<std::shared_ptr<chunk>> remove_all() noexcept { return std::exchange(chunks_, {}); }

  /// How long it has to work at them, as far as that is known.
  [[nodiscard]] double queued_ns() const {
    if (empty()) return 0;
    if (call_ != nullptr) return call_->task_ns.value_or(0) * static_cast<double>(tasks_);
    double sum = 0;
    for (const auto& work : chunks_) sum += work->call->task_ns.value_or(0) * work->unsettled();
    return sum;
  }

  std::optional<std::uint64_t> timed_out_index;  ///< in the map call, of the task its worker was ended for
  std::uint64_t timed_out_chunk = 0;
  std::optional<worker_engine::activity> seen;  ///< when last looked at, if it was between tasks with work to do
  int unchanged = 0;                            ///< times in a row that it was seen so
  bool stalled = false;                         ///< and was ended for it

 private:
  std::vector<std::shared_ptr<chunk>> chunks_;
  const call_state* call_ = nullptr;  // of all of them; null if they are of several
  std::uint64_t tasks_ = 0;           // of them that have no outcome, if they are of one call
};

}  // namespace lenskit::detail
