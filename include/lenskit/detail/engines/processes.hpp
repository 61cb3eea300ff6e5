// The engine whose workers are forked processes.
#pragma once

#include <lenskit/detail/dispatch/engine.hpp>
#include <lenskit/detail/engines/attendance.hpp>
#include <lenskit/detail/engines/spawner.hpp>
#include <lenskit/detail/engines/staff.hpp>
#include <lenskit/detail/os/poller.hpp>
#include <lenskit/detail/worker/body.hpp>
#include <lenskit/detail/worker/journal.hpp>

#include <array>
#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <span>
#include <string>

namespace lenskit::detail {

struct process_options {
  int workers = 1;
  bool keeps_time = false;  ///< tasks have a deadline
  /// Runs in each worker before its first task, with its index: gives it role, seed and thread counts.
  std::function<void(int)> enter_worker{};
};

/// Starts its workers when it is made and replaces those that die.
class processes_engine final : public worker_engine {
 public:
  /// `place` is inherited by the workers. Throws std::system_error; leaves nothing behind then.
  processes_engine(std::shared_ptr<workplace> place, process_options options);
  ~processes_engine() override;

  [[nodiscard]] const engine_traits& traits() const noexcept override { return traits_; }
  [[nodiscard]] int room(int worker) const noexcept override;
  void send(std::span<order> orders) noexcept override;
  [[nodiscard]] std::optional<std::uint32_t> take_back(int worker, std::uint64_t chunk,
                                                       std::uint32_t keep) noexcept override;
  void end_worker(int worker, ending why) noexcept override;
  [[nodiscard]] worker_view look(int worker, aspect at) const noexcept override;
  void report(engine_listener& listener) noexcept override;
  bool wait(manner how, steady::time_point until) override;
  void wake(std::chrono::nanoseconds delay) noexcept override;
  void shut_down() noexcept override;

 private:
  void flush(worker_slot& slot, int worker) noexcept;
  [[nodiscard]] std::optional<worker_view::task> task_of(int worker) const noexcept;
  [[nodiscard]] std::optional<worker_view::activity> progress_of(int worker) const noexcept;

  // The leader's:
  [[nodiscard]] bool watch(steady::time_point until) const noexcept;
  void collect(steady::time_point until, bool attending);
  void hear(const readiness& ready);
  void receive_from(int worker);
  [[nodiscard]] bool take_messages(worker_slot& slot, int worker);
  void hear_out(int worker);
  [[nodiscard]] steady::time_point next_harvest() const noexcept;
  void harvest_silent();

  const engine_traits traits_;
  const std::unique_ptr<worker_program> program_;
  const process_options options_;
  journal journal_;
  poller results_;  // what a waiting consumer wants: results, deaths, the spawner, interruptions
  poller all_;      // that, and what the attendant looks after
  wakeup interrupt_;
  attendance logs_;
  struct heard {
    std::array<readiness, 64> ready{};
    std::span<const readiness> undone{};  // of `ready`
    steady::time_point at{};              // when the last of these came
  } heard_;
  std::list<results_event> spare_;  // made before a message is taken out of its connection, or it could be lost
  std::list<results_event> events_;
  std::list<death_event> deaths_;
  std::atomic<bool> stopping_{false};
  staff staff_;
};

}  // namespace lenskit::detail
