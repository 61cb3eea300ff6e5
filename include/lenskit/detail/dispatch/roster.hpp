// Who has what: the chunks that wait for a worker, and those that each worker has been given.
#pragma once

#include <lenskit/detail/dispatch/call.hpp>
#include <lenskit/detail/dispatch/chunk.hpp>
#include <lenskit/detail/dispatch/engine.hpp>
#include <lenskit/detail/os/clock.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace lenskit::detail {

/// A worker's chunks, in the order in which it works through them. Knows how much work they are without looking at each
/// of them: with many workers that is asked for every chunk that is given out.
class lane {
 public:
  [[nodiscard]] bool empty() const noexcept { return chunks_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return chunks_.size(); }
  [[nodiscard]] auto begin() const noexcept { return chunks_.begin(); }
  [[nodiscard]] auto end() const noexcept { return chunks_.end(); }
  /// The one it works at.
  [[nodiscard]] const std::shared_ptr<chunk>& front() const noexcept { return chunks_.front(); }
  [[nodiscard]] chunk* back() const noexcept { return chunks_.back(); }
  /// Null if it has no chunk of that name.
  [[nodiscard]] std::shared_ptr<chunk> find(std::uint64_t name) const noexcept;

  void add(std::shared_ptr<chunk> work) noexcept;
  std::shared_ptr<chunk> remove(chunk& work) noexcept;
  /// `count` tasks of its chunks have got an outcome, or been taken back.
  void note_gone(std::uint32_t count) noexcept { tasks_ -= count; }
  void clear() noexcept { chunks_.clear(); }

  /// Tasks that it may not have begun.
  [[nodiscard]] std::uint64_t waiting_tasks() const noexcept { return tasks_ > 1 ? tasks_ - 1 : 0; }
  /// How long it has to work at its chunks, as far as that is known.
  [[nodiscard]] double queued_ns() const noexcept;

  int unsent = 0;                      ///< chunks of the dealing under way, which the engine has not been given
  steady::time_point progressed_at{};  ///< when it was last heard of, or given something while it had nothing
  steady::time_point spared_until{};   ///< there was nothing to be taken back from it just now

 private:
  chunk_list<&chunk::queued> chunks_;
  const call_state* call_ = nullptr;  // of all of them; null if they are of several
  std::uint64_t tasks_ = 0;           // of them that have neither an outcome nor been taken back
};

/// Guarded by the dispatcher's lock. Asks for no memory once it is made, and throws nothing.
class roster {
 public:
  static constexpr std::size_t at_a_time = 16;
  /// `at_once`: workers that can run at the same time. Throws std::bad_alloc.
  roster(const worker_engine& engine, std::size_t at_once);

  [[nodiscard]] std::size_t workers() const noexcept { return lanes_.size(); }
  [[nodiscard]] lane& of(int worker) noexcept { return lanes_[static_cast<std::size_t>(worker)]; }
  [[nodiscard]] const lane& of(int worker) const noexcept { return lanes_[static_cast<std::size_t>(worker)]; }
  /// Chunks that workers have.
  [[nodiscard]] std::size_t outstanding() const noexcept { return outstanding_; }
  [[nodiscard]] bool backlog_empty() const noexcept { return backlog_.empty(); }
  /// Whether a worker could use another chunk soon.
  [[nodiscard]] bool has_room() const noexcept { return roomiest() >= 0; }
  /// The only worker that has anything, and that one chunk; -1 if there are more or none.
  [[nodiscard]] int only_busy() const noexcept;

  /// A chunk waits, behind all others or in front of them.
  void enqueue(std::shared_ptr<chunk> work) noexcept;
  void enqueue_first(std::shared_ptr<chunk> work) noexcept;
  /// Deals out waiting chunks, each to the worker with the least to do among those with room: `most` orders, and no
  /// more than fit into one dealing, which are valid until the next; empty if there is no such chunk, or no such
  /// worker.
  [[nodiscard]] std::span<order> deal(steady::time_point now, std::size_t most = at_a_time) noexcept;
  /// A worker has nothing more to say of a chunk.
  std::shared_ptr<chunk> take_from(int worker, chunk& work) noexcept;
  /// Nothing of a call waits any more.
  void drop_waiting(const call_state& call) noexcept;
  /// Nobody has anything.
  void clear() noexcept;

  /// Tasks that should be taken from a worker for an idle one: all that it has not begun, or, if `work` is set,
  /// of that all but the first `keep` of these.
  struct transfer_plan {
    int from = -1;
    std::shared_ptr<chunk> work{};
    std::uint32_t keep = 0;
  };
  [[nodiscard]] std::optional<transfer_plan> next_transfer(steady::time_point now) const noexcept;
  /// When `next_transfer` is worth asking again, if nothing happens before.
  [[nodiscard]] steady::time_point look_again_at() const noexcept;

  /// How long the leader can leave the workers alone. Being woken for every result costs as much as a task of 20 µs, on
  /// both sides, and takes a core from a worker: while all workers have enough to do, results are better left to pile
  /// up. For the leader.
  [[nodiscard]] std::chrono::nanoseconds time_to_rest() const noexcept;

 private:
  [[nodiscard]] int roomiest() const noexcept;
  [[nodiscard]] order give(int worker, steady::time_point now) noexcept;
  [[nodiscard]] bool anybody_idle() const noexcept;
  [[nodiscard]] steady::duration patience() const noexcept;
  [[nodiscard]] double worth_of(const lane& in, steady::time_point now) const noexcept;
  [[nodiscard]] bool held_up(int worker, steady::time_point now) const noexcept;

  const worker_engine& engine_;
  const std::size_t at_once_;
  std::vector<lane> lanes_;
  chunk_list<&chunk::queued> backlog_;
  std::size_t outstanding_ = 0;
  std::size_t busy_ = 0;  // workers that have something
  std::uint64_t next_name_ = 1;
  std::array<order, at_a_time> orders_{};  // of one dealing
};

}  // namespace lenskit::detail
