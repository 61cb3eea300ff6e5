// Tasks that take too long, and workers that do not get on.
#pragma once

#include <lenskit/detail/dispatch/engine.hpp>
#include <lenskit/detail/os/clock.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace lenskit::detail {

/// Keeps the deadlines of running tasks and notes which workers stand still. A task's time is what it ran: time in
/// which this process was stopped, and probably everything else with it, is nobody's (K2). Guarded by the dispatcher's
/// lock.
class overdue {
 public:
  overdue(std::size_t workers, std::optional<std::chrono::nanoseconds> task_timeout);

  /// When to look again.
  [[nodiscard]] steady::time_point next_look(const worker_engine& engine, steady::time_point now) const noexcept;
  /// The task of a worker that is past its deadline; each is told once.
  [[nodiscard]] std::optional<worker_view::task> late_task(const worker_engine& engine, int worker,
                                                           steady::time_point now) noexcept;
  /// The worker is going to be ended for that task.
  void note_late(int worker, const worker_view::task& task) noexcept;
  /// Whether a worker was ended for being late, and for being late with this task.
  [[nodiscard]] bool was_late(int worker) const noexcept;
  [[nodiscard]] bool was_late(int worker, std::uint64_t chunk, std::uint32_t position) const noexcept;

  /// Whether it is time to look for workers that stand still; then each is to be asked for once.
  [[nodiscard]] bool stall_look_due(steady::time_point now) noexcept;
  /// Whether a worker has stood still for too long; if it goes on doing so, told again after as long. `has_work`: it
  /// has been given something.
  [[nodiscard]] bool stalled(const worker_engine& engine, int worker, bool has_work) noexcept;

  /// The worker has been replaced.
  void reset(int worker) noexcept;
  /// The leader was away from `since` on, meant to be back at `meant` and was not before `now`.
  void note_absence(steady::time_point since, steady::time_point meant, steady::time_point now) noexcept;

 private:
  struct record {
    std::optional<worker_view::task> late{};
    std::optional<worker_view::activity> seen{};  // when last looked at, if it was between tasks with work to do
    int unchanged = 0;                            // times in a row that it was seen so
  };
  struct gap {
    steady::time_point begin{};
    steady::time_point end{};
    steady::duration forgotten{};  // before it
  };
  [[nodiscard]] steady::time_point due_at(const worker_view::task& task) const noexcept;

  const std::optional<std::chrono::nanoseconds> task_timeout_;
  std::vector<record> of_;
  std::array<gap, 8> absences_{};
  std::size_t next_absence_ = 0;
  steady::time_point look_for_stalls_at_{};
};

}  // namespace lenskit::detail
