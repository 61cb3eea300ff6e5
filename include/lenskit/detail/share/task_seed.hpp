// Which task a thread is running, for the seeds: cheap to set for every task, worked out only when somebody asks.
#pragma once

#include <lenskit/random.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace lenskit::detail {

/// The seed of one map call: the root it came from, which many calls share, and the call's own spawn key.
class call_seed {
 public:
  call_seed(std::shared_ptr<const seed_sequence> root, seed_sequence::key_type key) noexcept
      : root_(std::move(root)), key_(std::move(key)) {}

  [[nodiscard]] const seed_sequence& root() const noexcept { return *root_; }
  [[nodiscard]] const seed_sequence::key_type& key() const noexcept { return key_; }
  /// The seed of a call with the same root.
  [[nodiscard]] call_seed with_key(seed_sequence::key_type key) const noexcept { return {root_, std::move(key)}; }

  /// The seed as plain numbers, for a message to a worker.
  [[nodiscard]] std::vector<std::uint64_t> words() const;
  /// The inverse of `words`; throws `serialization_error` for anything that `words` did not make. Shares the root of
  /// the call `before` it, if there is one and it has the same: to mix a root takes as long as a short call.
  static call_seed from_words(std::span<const std::uint64_t> words, const call_seed* before = nullptr);

  friend bool operator==(const call_seed& a, const call_seed& b) noexcept {
    return a.root() == b.root() && a.key() == b.key();
  }

 private:
  std::shared_ptr<const seed_sequence> root_;
  seed_sequence::key_type key_;
};

/// The place of the task that a thread runs. `call` is null outside of a task.
struct task_place {
  const call_seed* call = nullptr;
  std::uint64_t index = 0;     // of the task in its map call
  std::uint64_t children = 0;  // seeds and calls already derived in this task
};

inline thread_local constinit task_place this_task{};

/// From here on the thread runs task `index` of `call`, which must outlive the task.
inline void set_task(const call_seed& call, std::uint64_t index) noexcept { this_task = {&call, index, 0}; }

/// From here on the thread runs another task of the same call.
inline void go_to_task(std::uint64_t index) noexcept {
  this_task.index = index;
  if (this_task.children != 0) [[unlikely]]  // a look is cheaper than a store, and most tasks derive nothing
    this_task.children = 0;
}

/// From here on the thread runs no task.
inline void leave_task() noexcept { this_task = {}; }

/// Runs a task while it lives and then goes back to the task around it: engines nest in one thread.
class task_seed_scope {
 public:
  task_seed_scope(const call_seed& call, std::uint64_t index) noexcept : outer_(this_task) { set_task(call, index); }
  ~task_seed_scope() { this_task = outer_; }
  task_seed_scope(const task_seed_scope&) = delete;
  task_seed_scope& operator=(const task_seed_scope&) = delete;

 private:
  task_place outer_;
};

/// Makes `seed` the root of this process, which from here on runs no task: for the child of `run_sp`.
void enter_root_seed(const seed_sequence& seed);

}  // namespace lenskit::detail
