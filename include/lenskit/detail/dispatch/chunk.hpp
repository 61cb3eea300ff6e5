// A chunk: tasks that travel together, what has become of them, and the failures and results as they came.
#pragma once

#include <lenskit/detail/dispatch/assignment.hpp>
#include <lenskit/detail/dispatch/outcome_part.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace lenskit::detail {

class call_state;
struct chunk;

/// A chunk's place in one list.
struct chunk_hook {
  std::shared_ptr<chunk> next;
  chunk* previous = nullptr;
  bool linked = false;
};

/// Written only under the dispatcher's lock, but for `arguments`, which never change. Everything that settling its
/// tasks takes is made with it: under the lock no memory is asked for (A1).
struct chunk {
  std::shared_ptr<call_state> call;
  std::uint64_t first_index = 0;
  std::uint32_t count = 0;
  std::shared_ptr<const encoded_arguments> arguments;
  std::span<const std::byte> argument_bytes;  ///< this chunk's part of them

  std::uint32_t settled = 0;  ///< tasks whose outcome is known: always the first ones
  int deaths = 0;             ///< workers that the first unsettled task has killed
  outcome_list parts;         ///< outcomes not yet taken by the consumer
  outcome_list room;          ///< for one failure that the pool makes

  // While a worker has it:
  std::uint64_t name = 0;   ///< 0: none has it
  std::uint32_t base = 0;   ///< position of the first task that was given to the worker
  std::uint32_t limit = 0;  ///< tasks from here on have been taken back from it

  chunk_hook in_window;  ///< what the call has out
  chunk_hook queued;     ///< in the backlog, or in the lane of a worker
  chunk_hook ready;      ///< with parts, where results go in the order of completion

  [[nodiscard]] std::uint32_t unsettled() const noexcept { return count - settled; }
  [[nodiscard]] bool done() const noexcept { return settled == count; }
  /// Whether the worker that has it has nothing more to say of it.
  [[nodiscard]] bool returned() const noexcept { return settled >= limit; }
};

/// One that is ready to be used. Throws std::bad_alloc.
[[nodiscard]] std::shared_ptr<chunk> make_chunk();

/// Cuts `from` before `position`: `rest`, which is new, gets the tasks from there on. Neither has a worker.
void split_chunk(chunk& from, std::uint32_t position, chunk& rest) noexcept;

/// What is to be done of `work`, under the name `name`, from its first unsettled task on.
[[nodiscard]] assignment assign_rest(chunk& work, std::uint64_t name) noexcept;

/// Chunks in some order. Asks for no memory; each chunk is in it at most once.
template <chunk_hook chunk::*Hook>
class chunk_list {
 public:
  chunk_list() noexcept = default;
  chunk_list(const chunk_list&) = delete;
  chunk_list& operator=(const chunk_list&) = delete;
  ~chunk_list() { clear(); }

  class iterator {
   public:
    explicit iterator(const std::shared_ptr<chunk>* at) noexcept : at_(at) {}
    const std::shared_ptr<chunk>& operator*() const noexcept { return *at_; }
    const std::shared_ptr<chunk>* operator->() const noexcept { return at_; }
    iterator& operator++() noexcept {
      at_ = &((**at_).*Hook).next;
      return *this;
    }
    friend bool operator==(const iterator& one, const iterator& other) noexcept { return *one.at_ == *other.at_; }

   private:
    const std::shared_ptr<chunk>* at_;
  };

  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] const std::shared_ptr<chunk>& front() const noexcept { return first_; }
  [[nodiscard]] chunk* back() const noexcept { return last_; }
  [[nodiscard]] iterator begin() const noexcept { return iterator(&first_); }
  [[nodiscard]] iterator end() const noexcept { return iterator(&nobody_); }
  [[nodiscard]] static bool contains(const chunk& one) noexcept { return (one.*Hook).linked; }

  void push_back(std::shared_ptr<chunk> one) noexcept { insert(last_, std::move(one)); }
  void push_front(std::shared_ptr<chunk> one) noexcept { insert(nullptr, std::move(one)); }
  /// Behind `before`, or in front of all if that is null.
  void insert(chunk* before, std::shared_ptr<chunk> one) noexcept {
    auto& hook = (*one).*Hook;
    auto& link = before != nullptr ? (before->*Hook).next : first_;
    hook.next = std::move(link);
    hook.previous = before;
    hook.linked = true;
    (hook.next ? ((*hook.next).*Hook).previous : last_) = one.get();
    link = std::move(one);
    ++size_;
  }
  /// Takes a chunk of the list out of it.
  std::shared_ptr<chunk> remove(chunk& one) noexcept {
    auto& hook = one.*Hook;
    auto& link = hook.previous != nullptr ? (hook.previous->*Hook).next : first_;
    auto removed = std::move(link);
    link = std::move(hook.next);
    (link ? ((*link).*Hook).previous : last_) = hook.previous;
    hook = {};
    --size_;
    return removed;
  }
  std::shared_ptr<chunk> pop_front() noexcept { return remove(*first_); }
  void clear() noexcept {
    while (!empty()) pop_front();
  }

 private:
  static inline const std::shared_ptr<chunk> nobody_{};
  std::shared_ptr<chunk> first_;
  chunk* last_ = nullptr;
  std::size_t size_ = 0;
};

/// Where in `arguments` the task `position` tasks behind the start of `bytes` begins. Throws serialization_error.
[[nodiscard]] std::size_t argument_offset(std::span<const std::byte> bytes, std::size_t record_bytes,
                                          std::uint32_t position);

}  // namespace lenskit::detail
