// The worker processes of a pool: asked for, heard of, buried and replaced.
#pragma once

#include <lenskit/detail/dispatch/engine.hpp>
#include <lenskit/detail/engines/attendance.hpp>
#include <lenskit/detail/engines/spawner.hpp>
#include <lenskit/detail/engines/worker_slot.hpp>
#include <lenskit/detail/os/poller.hpp>
#include <lenskit/detail/worker/journal.hpp>

#include <algorithm>
#include <atomic>
#include <list>
#include <memory>
#include <string>
#include <vector>

namespace lenskit::detail {

/// What an engine of processes hears of its staff until it reports it.
struct death_event {
  int worker = 0;
  worker_death death{};
};

/// The leader's, but for what says otherwise. Of a worker between its burial and the installation of its replacement
/// there is no slot.
class staff {
 public:
  /// Asks for all workers and returns when the first runs. `program` is what they run, and is inherited by them.
  /// `events` is where streams, deaths and the spawner are watched. Throws std::system_error; leaves nothing behind
  /// then.
  staff(worker_program& program, journal& journals, poller& events, attendance& logs, int workers);
  staff(const staff&) = delete;
  staff& operator=(const staff&) = delete;

  /// Null if there is none. For others than the leader under the dispatcher's lock.
  [[nodiscard]] worker_slot* at(int worker) const noexcept { return slots_[static_cast<std::size_t>(worker)].get(); }
  [[nodiscard]] int size() const noexcept { return static_cast<int>(slots_.size()); }
  /// When something is to be done that no descriptor tells of.
  [[nodiscard]] steady::time_point deadline(bool stopping) const noexcept;
  /// Workers that were ever heard to run.
  [[nodiscard]] std::uint64_t starts() const noexcept { return starts_; }

  void hear_spawner();
  /// The same, if a spawner is new: no descriptor tells of what it has said while it was made.
  void hear_new_spawner() {
    if (spawner_.unheard) hear_spawner();
  }
  void notice_end(int worker) noexcept;
  /// A worker may speak before the spawner has told that it runs: what it logged cannot be heard until then. False if
  /// there is no news of it yet.
  [[nodiscard]] bool meet(int worker);
  /// Hears out the dead, by `hear_out(worker)`, and adds their deaths to `events`. Throws std::bad_alloc, after which
  /// it goes on where it was.
  template <class HearOut>
  void bury_the_dead(std::list<death_event>& events, HearOut hear_out) {
    find_lost();
    for (int worker = 0; worker < size(); ++worker) {
      auto* slot = at(worker);
      if (slot == nullptr || !slot->end.awaits_burial()) continue;
      if (!slot->reports) open_reports(worker);  // the spawner died before it could tell of it
      hear_out(worker);
      events.splice(events.end(), describe_death(worker, *slot));
    }
  }
  /// Makes everything that replacements take but the processes.
  void prepare_replacements(bool stopping) noexcept;

  /// The program has closed a descriptor of the library, as `error` says: the pool is to be given up. Thread-safe.
  void note_loss(int error) noexcept { lost_ = error; }
  /// Sends a worker a signal, if it is known. Thread-safe.
  void signal(worker_slot& slot, int number) noexcept;
  /// Kills it, now or when it is known. Thread-safe.
  void kill(worker_slot& slot) noexcept;

  // Under the dispatcher's lock, by the leader.
  /// A death is told; `start_error`: errno, if the worker never lived.
  void dismiss(int worker, int start_error) noexcept;
  /// Replaces what is missing. `listener` hears of a lost spawner, and that there are no workers to be had.
  void replace(engine_listener& listener) noexcept;
  /// What stands still may have inherited a lock that a thread of the host held when the spawner was forked (F1): then
  /// every worker of that spawner has. Or the spawner itself does not get to forking it.
  void suspect(int worker) noexcept;

  /// Ends every worker and the spawner; bounded. `busy(worker)`: whether it runs a task and has to be told to end.
  template <class Busy>
  void end(Busy busy) noexcept {
    for (int worker = 0; worker < size(); ++worker) close(worker, busy(worker));
    end_all();
  }
  /// What is to be logged, which is not done under the lock: sinks are the user's.
  [[nodiscard]] std::string take_warning() noexcept { return std::exchange(warning_, {}); }

 private:
  struct seat {
    std::unique_ptr<worker_slot> slot{};
    worker_ends ends{};
  };
  // How workers are asked for: one at a time after a failure, and twice as many after each success.
  struct hiring {
    int unanswered = 0;  // asked for, and the spawner has not told of them
    int at_once = spawner::most_unanswered();
    int failures_in_a_row = 0;
    bool misses_workers = false;   // and has said so
    steady::time_point next_at{};  // when to try again
  };
  // The spawner that the workers there are have come from.
  struct spawner_in_office {
    std::unique_ptr<spawner> handle{};
    bool gone = false;
    bool loss_told = false;
    bool unheard = false;  // it has told of something that is not taken up yet
    bool proven = false;   // one of its workers has been ready

    explicit operator bool() const noexcept { return handle != nullptr; }
    spawner* operator->() const noexcept { return handle.get(); }
  };
  static constexpr int left_for_others = 8;  // descriptors that no worker but the first takes from the program

  /// Throws if it would not leave `spare` descriptors.
  [[nodiscard]] seat make_seat(int worker, int spare);
  [[nodiscard]] bool is_empty() const noexcept {
    return std::all_of(slots_.begin(), slots_.end(), [](const auto& each) { return each == nullptr; });
  }
  /// Whether the spawner is gone and nothing is left to be done for its workers.
  [[nodiscard]] bool awaits_spawner() const noexcept { return spawner_.gone && spawner_.loss_told && is_empty(); }
  [[nodiscard]] bool missing() const noexcept {
    return std::any_of(slots_.begin(), slots_.end(), [](const auto& each) { return each == nullptr; });
  }
  [[nodiscard]] bool may_start() const noexcept { return hiring_.unanswered < hiring_.at_once; }
  void watch(int worker);
  [[nodiscard]] std::unique_ptr<spawner> hire_everybody();
  void install_spawner() noexcept;
  void greet(int worker, process started) noexcept;
  void open_reports(int worker) noexcept;
  void find_lost() noexcept;
  [[nodiscard]] std::list<death_event> describe_death(int worker, worker_slot& slot);
  void start_failed(const char* what, const char* why) noexcept;
  void give_up(const char* what, const char* why) noexcept;
  void seat_prepared(int worker) noexcept;
  void replace_spawner() noexcept;
  void close(int worker, bool busy) noexcept;
  void end_all() noexcept;

  worker_program& program_;
  journal& journals_;
  poller& events_;
  attendance& logs_;
  std::vector<std::unique_ptr<worker_slot>> slots_;
  std::vector<seat> prepared_;
  hiring hiring_;
  spawner_in_office spawner_;
  std::unique_ptr<spawner> next_spawner_;  // made, and not put in place yet
  std::uint64_t inherited_levels_ = 0;     // version of the loggers' levels at the fork of the spawner
  std::uint64_t starts_ = 0;
  std::atomic<int> lost_{0};  // errno of a descriptor that the program has closed
  std::string broken_;
  std::string warning_;
};

}  // namespace lenskit::detail
