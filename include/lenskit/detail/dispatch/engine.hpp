// The seam between the dispatcher, which knows tasks, order and retries, and the engines, which know how to get chunks
// to workers and results back. What crosses it is bytes, so that an engine on another machine can take the same place.
#pragma once

#include <lenskit/detail/dispatch/chunk.hpp>
#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/worker/journal.hpp>
#include <lenskit/error.hpp>

#include <cstdint>
#include <memory>
#include <optional>

namespace lenskit::detail {

/// A worker's end.
struct worker_death {
  pid_t pid = 0;
  death_report report{};
  last_will will{};
  std::string stack{};
  bool ended_by_pool = false;      ///< `end_worker` did it
  bool lost_with_spawner = false;  ///< what forks the workers is gone, and this one with it
  int start_error = 0;             ///< errno of the fork, if the worker never lived
};

/// What an engine tells about. Called by `worker_engine::report`, under the dispatcher's lock.
class engine_listener {
 public:
  virtual void on_results(int worker, pid_t pid, frame message) = 0;
  virtual void on_death(int worker, worker_death death) = 0;
  /// What forks the workers was lost with all of them, whose deaths have been told, and is about to be replaced.
  virtual void on_spawner_lost() = 0;
  /// The engine cannot go on: nothing that was sent will be answered.
  virtual void on_broken(std::string why) = 0;

 protected:
  ~engine_listener() = default;
};

/// Workers. Two threads never call `wait` and `report` at once: the dispatcher elects one to lead.
class worker_engine {
 public:
  virtual ~worker_engine() = default;

  [[nodiscard]] virtual int workers() const noexcept = 0;
  /// The most chunks a worker may hold, the one it runs included.
  [[nodiscard]] virtual int depth() const noexcept = 0;
  /// The most tasks that one chunk may hold; 0: no limit.
  [[nodiscard]] virtual std::uint32_t longest_chunk() const noexcept = 0;

  /// A call is about to begin. Not under the lock; may take a few milliseconds.
  virtual void before_call() noexcept {}

  // Under the dispatcher's lock. None of these blocks or throws.
  /// Whether the worker can be given chunks.
  [[nodiscard]] virtual bool usable(int worker) const noexcept = 0;
  /// Gives a worker a chunk; it may wait for `flush` before it sets out.
  virtual void send(int worker, std::shared_ptr<chunk> work) noexcept = 0;
  virtual void flush() noexcept {}
  /// Asks a worker to give back what it has not started of a chunk.
  virtual void recall(int worker, std::uint64_t chunk) noexcept = 0;
  /// Ends a worker whose task took too long. Its death is reported like any other.
  virtual void end_worker(int worker) noexcept = 0;
  /// When the task in hand started, and its position in which chunk; nothing if there is none.
  struct task_in_hand {
    std::uint64_t chunk = 0;
    std::uint32_t position = 0;
    std::int64_t started_at = 0;
  };
  [[nodiscard]] virtual std::optional<task_in_hand> in_hand(int worker) const noexcept = 0;
  /// What a worker has done so far: changes whenever it gets on.
  struct activity {
    std::uint64_t chunk = 0;
    std::uint64_t bytes_moved = 0;
    std::uint32_t base = 0;
    std::uint32_t started = 0;
    std::uint32_t finished = 0;
    friend bool operator==(const activity&, const activity&) = default;
  };
  /// Whether a part of a message is on its way to or from the worker, so that it waits for whoever moves the rest. By
  /// the leader only.
  [[nodiscard]] virtual bool in_transfer(int) const noexcept { return false; }
  /// The activity of a worker that runs no task, but the library's own code; nothing if it runs one, or cannot stall.
  [[nodiscard]] virtual std::optional<activity> between_tasks(int) const noexcept { return std::nullopt; }
  /// Ends a worker that has work and does not get to it.
  virtual void end_stalled(int) noexcept {}
  /// The processor on which a worker last began a chunk, as the kernel counts them; nothing if that is not known.
  [[nodiscard]] virtual std::optional<int> processor(int) const noexcept { return std::nullopt; }
  /// Tells the listener what `wait` collected, and mends what broke.
  virtual void report(engine_listener& listener) = 0;

  /// Waits until there is something to report, `interrupt`, or `deadline`. Not under the lock. `attending`: the caller
  /// is the attendant and looks after logs meanwhile.
  virtual void wait(steady::time_point deadline, bool attending) = 0;
  /// Waits for so long, or until `interrupt`, and lets what happens meanwhile pile up for `wait`. Not under the lock.
  virtual void rest(std::chrono::nanoseconds) noexcept {}
  /// Looks, without sleeping, whether `wait` would return at once; true as soon as it would, false after so long. Not
  /// under the lock.
  virtual bool watch(std::chrono::nanoseconds) noexcept { return false; }
  /// Makes `wait`, `rest`, `watch` and `attend` return. Async-signal-safe.
  virtual void interrupt() noexcept = 0;

  /// Whether the pool needs a thread that looks after it while no caller does.
  [[nodiscard]] virtual bool attended() const noexcept { return false; }
  /// Looks after logs until `ring_in` rings or `interrupt`. On the attendant's thread.
  virtual void attend() {}
  /// Makes `attend` return after `delay`.
  virtual void ring_in(std::chrono::nanoseconds) noexcept {}

  /// No result is wanted any more: ends the workers that are busy and replaces none. Under the dispatcher's lock.
  virtual void stop_working() noexcept {}
  /// Whether the calling thread runs a task of this engine, which can therefore not wait for another one.
  [[nodiscard]] virtual bool runs_here() const noexcept { return false; }

  /// Ends every worker; bounded. Nothing is reported afterwards.
  virtual void shut_down() noexcept = 0;
};

}  // namespace lenskit::detail
