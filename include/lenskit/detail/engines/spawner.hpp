// The spawner: a single-threaded process between the parent and its workers.
//
//     parent ──fork, once──► spawner ──fork──► worker 0 .. n-1 and every replacement
//            ◄─ started, ended, failed ─┘
//
// The host's waitpid(-1) does not meet it: once it is up it goes on as an orphan, under another number, unless it is
// this program that orphans would come to.
//
// It is forked while the pool is built and keeps the model, the function and the whole memory of the parent as they
// were, so that a replacement sees what the first worker saw and no fork ever happens beside threads again. It reaps
// the workers: their deaths never reach the host's SIGCHLD handler or its waitpid(-1) (P3). When the parent dies it
// kills them all (P1); when it dies itself the kernel does.
#pragma once

#include <lenskit/detail/os/channel.hpp>
#include <lenskit/detail/os/process.hpp>

#include <signal.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace lenskit::detail {

/// The worker's ends of its two connections.
struct worker_ends {
  descriptor stream;
  descriptor log;
};

/// What the forked worker runs.
class worker_program {
 public:
  virtual ~worker_program() = default;
  /// Whether the spawner is to end a worker that somebody stops and nobody continues.
  [[nodiscard]] virtual bool ends_stopped_workers() const noexcept = 0;
  /// Runs in the worker. Never returns.
  [[noreturn]] virtual void run(int slot, worker_ends ends) noexcept = 0;
};

/// Something the spawner tells the parent.
struct spawner_event {
  enum class kind { started, ended, failed, gone } what = kind::gone;  ///< gone: the spawner itself is dead
  int slot = -1;
  process worker{};      ///< of `started`
  pid_t pid = -1;        ///< of `started` and `ended`
  exit_status status{};  ///< of `ended`
  int error = 0;         ///< errno of `failed`
};

/// The parent's handle. Used by one thread at a time.
class spawner {
 public:
  /// Forks the spawner, which forks one worker a seat, and returns when the first of them runs: the others are forked
  /// while it has its first task. What became of each is told by `next`. A fork beside other threads can freeze on a
  /// lock that one of them held (F1), and so can tasks on locks of the C library (B4), which are therefore tried first:
  /// such a child is ended and the fork tried again. Throws std::system_error, and leaves nothing behind, if there is
  /// no spawner or no first worker to be had.
  spawner(worker_program& program, const std::vector<worker_ends>& seats);
  spawner(const spawner&) = delete;
  spawner& operator=(const spawner&) = delete;
  ~spawner();

  /// How many workers may be asked for and not be told of yet: the kernel allows only so many descriptors on the way.
  [[nodiscard]] static int most_unanswered() noexcept;
  /// Sends `signal` to a worker of its own. If this process may not, because it has dropped its rights or a filter
  /// refuses the call, the spawner does it, which has kept them (H1). Does not wait. Thread-safe. The only way to
  /// signal a worker.
  void signal(const process& worker, int signal) const noexcept;
  /// Asks for a new worker in `slot`. Does not wait for it. False if the spawner cannot be asked.
  [[nodiscard]] bool spawn(int slot, const worker_ends& ends) noexcept;
  /// The next event, if there is one. Does not block.
  [[nodiscard]] std::optional<spawner_event> next();
  /// Readable when there is an event.
  [[nodiscard]] int fd() const noexcept { return control_.get(); }
  /// Kills the spawner alone. The kernel kills its workers for it. `end` is still due.
  void kill() const noexcept;
  /// Ends the spawner and with it every worker that is left; bounded.
  void end() noexcept;

 private:
  enum class progress { up, frozen, slow };
  void fork_into(worker_program& program);
  [[nodiscard]] progress bring_up(const std::vector<worker_ends>& seats, steady::time_point deadline);
  [[nodiscard]] bool is_frozen();
  void take_over(pid_t pid);

  [[nodiscard]] std::optional<spawner_event> read_event();

  descriptor control_;
  process process_;
  bool is_ready_ = false;
  // Of a child that is not ready: it does next to nothing. More each time, in case that was wrong.
  std::chrono::nanoseconds may_compute_ = std::chrono::milliseconds(20);
  int looks_asleep_ = 0;
  bool is_child_ = true;              // or an orphan, as the host's waitpid(-1) shall not meet it
  std::deque<spawner_event> unread_;  // what came while the first worker was awaited
};

}  // namespace lenskit::detail
