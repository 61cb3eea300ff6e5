#include <lenskit/detail/dispatch/call.hpp>

#include <algorithm>

namespace lenskit::detail {

double call_state::grain_ns() const noexcept {
  constexpr double least = 300e3;
  constexpr double most = 4e6;
  constexpr double part_of_each = 16;  // processor's work so far,
  constexpr double part_of_all = 48;   // or all work so far
  constexpr double bytes = 256 << 10;  // of results: more are sent in several pieces, and leave the caches
  const auto fitting = result_bytes > 0 ? bytes / result_bytes * task_ns.value_or(0) : most;
  const auto small_part = worked_ns / std::min(part_of_each * static_cast<double>(at_once), part_of_all);
  return std::clamp(std::min(small_part, fitting), least, most);
}

double call_state::queue_ns() const noexcept {
  constexpr double grains = 6;
  // The longer the tasks, the less it matters to be woken for each.
  constexpr double tasks = 4;
  constexpr double most_by_tasks = 5e6;
  return std::max(grains * grain_ns(), std::min(tasks * task_ns.value_or(0), most_by_tasks));
}

void call_state::learn(std::uint32_t count, std::int64_t elapsed_ns, std::size_t bytes) noexcept {
  if (count == 0) return;
  worked_ns += static_cast<double>(elapsed_ns);
  double ns = static_cast<double>(elapsed_ns) / count;
  // A worker that had to wait for a processor has seen its tasks last for too long: one alone does not change much.
  constexpr double most_growth = 2;
  if (task_ns) ns = std::min(ns, most_growth * std::max(*task_ns, 1.0));
  // The newest observation counts half: tasks change slowly, but the first ones run on cold memory.
  task_ns = task_ns ? (*task_ns + ns) / 2 : ns;
  result_bytes = (result_bytes + static_cast<double>(bytes) / count) / 2;
}

bool call_state::has_outcomes() const noexcept {
  if (plan.order == result_order::of_completion) return !ready.empty();
  return !window.empty() && !window.begin()->second->parts.empty();
}

}  // namespace lenskit::detail
