// The seam between the dispatcher, which knows tasks, order and retries, and the engines, which know how to get chunks
// to workers and results back. What crosses it is bytes and plain values, so that an engine on another machine can take
// the same place. tests/support/scripted_engine.hpp is the shortest one.
#pragma once

#include <lenskit/detail/dispatch/assignment.hpp>
#include <lenskit/detail/dispatch/outcome_part.hpp>
#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/worker/journal.hpp>
#include <lenskit/error.hpp>

#include <chrono>
#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <string>

namespace lenskit::detail {

/// A worker's end.
struct worker_death {
  pid_t pid = 0;
  death_report report{};
  /// What it had in hand. Without one (`chunk` is 0) it had begun no task: all that it had been given is given to
  /// others.
  last_will will{};
  std::string stack{};
  std::string summary{};           ///< one line for a message
  bool ended_by_pool = false;      ///< `end_worker` did it
  bool lost_with_spawner = false;  ///< what forks the workers is gone, and this one with it
  int start_error = 0;             ///< errno of the fork, if the worker never lived
  outcome_list room{};             ///< three parts, for what is to be said of the chunk in hand
};

/// Results of a chunk, as an engine keeps them until it reports.
struct results_event {
  int worker = 0;
  results_head head{};
  outcome_list part{};  ///< one part
};

/// One that is ready to be filled. Throws std::bad_alloc.
[[nodiscard]] std::list<results_event> make_results_event();
/// What a living worker has finished and not sent, because a task keeps it; empty if there is nothing. Throws
/// std::bad_alloc.
[[nodiscard]] std::list<results_event> harvest(const journal_block& from, int worker, pid_t pid);

/// What an engine tells about. Called by `worker_engine::report`, under the dispatcher's lock. None of these throws or
/// asks for memory.
class engine_listener {
 public:
  /// Results of a chunk: `part` has one part, whose `count` is `head.count`. What is told a second time is skipped.
  virtual void on_results(int worker, const results_head& head, outcome_list part) noexcept = 0;
  /// The late answer to a `take_back`: tasks from `position` on will never begin there.
  virtual void on_taken_back(int worker, std::uint64_t chunk, std::uint32_t position) noexcept = 0;
  virtual void on_death(int worker, worker_death death) noexcept = 0;
  /// What forks the workers was lost with all of them, whose deaths have been told, and is about to be replaced.
  virtual void on_spawner_lost() noexcept = 0;
  /// The engine cannot go on: nothing that was sent will be answered.
  virtual void on_broken(std::string why) noexcept = 0;

 protected:
  ~engine_listener() = default;
};

/// What an engine is. Does not change.
struct engine_traits {
  int workers = 1;
  std::uint32_t longest_chunk = 0;  ///< the most tasks that one chunk may hold; 0: no limit
  bool deals_ahead = true;          ///< a worker may hold more than the chunk that it runs
  bool can_stop_tasks = false;      ///< `end_worker` ends a task that runs
  bool isolates = false;            ///< workers are other processes
  bool attended = false;            ///< the pool needs a thread that looks after it while no caller does
};

/// What is seen of a worker, as far as it was asked for.
struct worker_view {
  /// The task that it runs.
  struct task {
    std::uint64_t chunk = 0;
    std::uint32_t position = 0;
    std::int64_t started_at = 0;  ///< monotonic ns
    friend bool operator==(const task&, const task&) = default;
  };
  /// What it has done so far: changes whenever it gets on.
  struct activity {
    std::uint64_t chunk = 0;
    std::uint64_t bytes_moved = 0;
    std::uint32_t base = 0;
    std::uint32_t started = 0;
    std::uint32_t finished = 0;
    friend bool operator==(const activity&, const activity&) = default;
  };
  std::optional<task> in_hand{};            ///< aspect::task
  std::optional<activity> between_tasks{};  ///< aspect::progress; empty if it runs a task, or cannot stall
  std::optional<int> processor{};           ///< aspect::place: where it last began a chunk
  /// aspect::transfer, for the leader: part of a message is on its way to or from the worker, which may wait for it.
  bool in_transfer = false;
};
enum class aspect { task, progress, place, transfer };

/// An assignment with its address.
struct order {
  int worker = -1;
  assignment work{};
};

/// How a thread waits in `worker_engine::wait`.
enum class manner {
  lead,      ///< for something to report
  stand_in,  ///< the same, and looks after logs meanwhile
  watch,     ///< the same as `lead`, without sleeping
  rest,      ///< for nothing but `wake`: what happens meanwhile piles up
  attend,    ///< looks after logs, until `wake` or its time
};

/// Why a worker is ended.
enum class ending {
  late,      ///< its task took too long
  stalled,   ///< it has work and does not get to it
  senses,    ///< what it says makes no sense
  unwanted,  ///< no result is wanted any more: none is replaced from then on
};

/// Workers. Two threads never call `wait` (but to attend) and `report` at once: the dispatcher elects one to lead.
class worker_engine {
 public:
  virtual ~worker_engine() = default;

  [[nodiscard]] virtual const engine_traits& traits() const noexcept = 0;

  // Under the dispatcher's lock. None of these blocks, throws, asks for memory or calls anything foreign.
  /// How many more chunks the worker can be given now; 0 if it cannot be used.
  [[nodiscard]] virtual int room(int worker) const noexcept = 0;
  /// Sends chunks on their way, each to a worker that has room for it. They are moved from.
  virtual void send(std::span<order> orders) noexcept = 0;
  /// Takes back the tasks of a chunk that the worker has not begun, but the first `keep` of them, without its help.
  /// Returns the position in the assignment from which on they will never begin there (K1, K3); nothing if that is
  /// reported later.
  [[nodiscard]] virtual std::optional<std::uint32_t> take_back(int worker, std::uint64_t chunk,
                                                               std::uint32_t keep) noexcept = 0;
  /// Ends a worker. Its death is reported like any other.
  virtual void end_worker(int worker, ending why) noexcept = 0;
  [[nodiscard]] virtual worker_view look(int worker, aspect at) const noexcept = 0;
  /// Tells the listener what `wait` collected, and puts in place what `wait` has mended.
  virtual void report(engine_listener& listener) noexcept = 0;

  /// Waits until `until` or `wake`, or for what `how` says; whether it came before its time. Not under the lock. Throws
  /// std::bad_alloc, std::system_error, and has lost nothing then.
  virtual bool wait(manner how, steady::time_point until) = 0;
  /// Makes every `wait` return; with a delay, only the attendant's, and then. Async-signal-safe without a delay.
  virtual void wake(std::chrono::nanoseconds delay) noexcept = 0;

  /// Ends every worker; bounded, but for tasks that nobody can stop. Nothing is reported afterwards. Not under the
  /// lock.
  virtual void shut_down() noexcept = 0;
};

/// Marks the thread that runs tasks of an engine: such a task cannot wait for another one of the same pool.
class serving_scope {
 public:
  explicit serving_scope(const worker_engine& engine) noexcept;
  ~serving_scope();
  serving_scope(const serving_scope&) = delete;
  serving_scope& operator=(const serving_scope&) = delete;

 private:
  friend bool serves_here(const worker_engine& engine) noexcept;
  const worker_engine* engine_;
  const serving_scope* outer_;
};
[[nodiscard]] bool serves_here(const worker_engine& engine) noexcept;

}  // namespace lenskit::detail
