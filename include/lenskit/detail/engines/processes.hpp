// The engine whose workers are forked processes.
#pragma once

#include <lenskit/detail/dispatch/engine.hpp>
#include <lenskit/detail/engines/spawner.hpp>
#include <lenskit/detail/engines/worker_handle.hpp>
#include <lenskit/detail/os/poller.hpp>
#include <lenskit/detail/worker/body.hpp>
#include <lenskit/detail/worker/journal.hpp>

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace lenskit::detail {

struct process_options {
  int workers = 1;
  bool keeps_time = false;  ///< tasks have a deadline
  /// Runs in each worker before its first task, with its index: gives it role, seed and thread counts.
  std::function<void(int)> enter_worker{};
};

/// Starts its workers when it is made and replaces those that die.
class processes_engine final : public worker_engine, private worker_program {
 public:
  /// `place` is inherited by the workers. Throws std::system_error; leaves nothing behind then.
  processes_engine(std::shared_ptr<workplace> place, process_options options);
  ~processes_engine() override;

  [[nodiscard]] int workers() const noexcept override { return options_.workers; }
  [[nodiscard]] int depth() const noexcept override;
  [[nodiscard]] std::uint32_t longest_chunk() const noexcept override { return 0; }
  [[nodiscard]] bool usable(int worker) const noexcept override;
  void send(int worker, std::shared_ptr<chunk> work) noexcept override;
  void flush() noexcept override;
  void recall(int worker, std::uint64_t chunk) noexcept override;
  void end_worker(int worker) noexcept override;
  [[nodiscard]] std::optional<task_in_hand> in_hand(int worker) const noexcept override;
  [[nodiscard]] bool in_transfer(int worker) const noexcept override;
  [[nodiscard]] std::optional<activity> between_tasks(int worker) const noexcept override;
  void end_stalled(int worker) noexcept override;
  [[nodiscard]] std::optional<int> processor(int worker) const noexcept override;
  void report(engine_listener& listener) override;
  void wait(steady::time_point deadline, bool attending) override;
  void rest(std::chrono::nanoseconds most) noexcept override { interrupt_.wait_for(most); }
  bool watch(std::chrono::nanoseconds most) noexcept override;
  void before_call() noexcept override;
  void interrupt() noexcept override;
  [[nodiscard]] bool attended() const noexcept override { return true; }
  void attend() override;
  void ring_in(std::chrono::nanoseconds delay) noexcept override;
  void stop_working() noexcept override;
  void shut_down() noexcept override;

 private:
  struct event {
    int worker = 0;
    std::optional<frame> message{};  // or, if empty:
    worker_death death{};
  };

  // In the spawner and the workers.
  // Where tasks have a deadline, that is what ends a stopped worker.
  [[nodiscard]] bool ends_stopped_workers() const noexcept override { return !options_.keeps_time; }
  [[noreturn]] void run(int slot, worker_ends ends) noexcept override;

  [[nodiscard]] worker_handle& at(int worker) noexcept { return handles_[static_cast<std::size_t>(worker)]; }
  [[nodiscard]] worker_ends connect(int worker);
  void fork_everybody();
  void open_reports(int worker);
  void greet(int worker, process started);
  void flush(int worker) noexcept;
  void kill_worker(worker_handle& worker) noexcept;
  void push(int worker, outgoing_message message) noexcept;
  void push_levels(int worker);

  // The leader's: collecting.
  void hear(const readiness& ready);
  void hear_spawner();
  [[nodiscard]] bool meet(int worker);
  void receive_from(int worker);
  void take_message(int worker, frame message);
  bool drain_logs(steady::time_point deadline);
  void notice_end(int worker);
  void bury_the_dead();
  void bury(int worker);
  [[nodiscard]] steady::time_point own_deadline() const;

  // The leader's: mending, under the lock.
  void start_failed(int worker, const std::string& why);
  void replace(int worker);
  void replace_spawner();
  void kill_overdue() noexcept;

  const std::shared_ptr<workplace> place_;
  const process_options options_;
  journal journal_;
  std::vector<worker_handle> handles_;
  std::mutex handles_mutex_;  // guards `handle` and `reports` of all handles against being replaced

  poller results_;     // what a waiting consumer wants: results, deaths, the spawner, interruptions
  poller attendance_;  // what the attendant looks after: logs and its bell
  poller all_;         // both
  wakeup interrupt_;
  wakeup attend_interrupt_;
  bell bell_;

  std::size_t log_bytes_ = 0;  // that the last drain_logs passed on
  std::vector<event> events_;
  std::vector<event> reported_;  // the last ones, for their room
  std::vector<int> with_room_;
  std::uint64_t inherited_levels_ = 0;  // version of the loggers' levels at the fork of the spawner
  std::uint64_t starts_ = 0;            // workers that were ever heard to run
  bool spawner_gone_ = false;
  bool spawner_proven_ = false;  // one of its workers has been ready
  bool stopping_ = false;
  std::string broken_;
  std::string warning_;  // to be logged, which is not done under the lock: sinks are the user's
  std::unique_ptr<spawner> spawner_;
};

}  // namespace lenskit::detail
