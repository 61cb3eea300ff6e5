#include <lenskit/detail/dispatch/pace.hpp>

#include <algorithm>

namespace lenskit::detail {

double task_pace::grain_ns() const noexcept {
  constexpr double least = 300e3;
  constexpr double most = 4e6;
  constexpr double part_of_each = 16;  // processor's work so far,
  constexpr double part_of_all = 48;   // or all work so far
  constexpr double bytes = 256 << 10;  // of results: more are sent in several pieces, and leave the caches
  const auto fitting = result_bytes_ > 0 ? bytes / result_bytes_ * task_ns_.value_or(0) : most;
  const auto small_part = worked_ns_ / std::min(part_of_each * static_cast<double>(at_once_), part_of_all);
  return std::clamp(std::min(small_part, fitting), least, most);
}

double task_pace::queue_ns() const noexcept {
  constexpr double grains = 6;
  // The longer the tasks, the less it matters to be woken for each.
  constexpr double tasks = 4;
  constexpr double most_by_tasks = 5e6;
  return std::max(grains * grain_ns(), std::min(tasks * task_ns_.value_or(0), most_by_tasks));
}

std::uint32_t task_pace::chunk_tasks(std::uint32_t longest) const noexcept {
  constexpr double most_tasks = 1 << 20;
  constexpr double most_result_bytes = 1 << 20;
  std::uint32_t tasks = 1;
  if (task_ns_) {
    auto fitting = std::min(grain_ns() / std::max(*task_ns_, 1.0), most_tasks);
    if (result_bytes_ > 0) fitting = std::min(fitting, most_result_bytes / result_bytes_);
    tasks = static_cast<std::uint32_t>(std::max(fitting, 1.0));
  }
  return longest != 0 ? std::min(tasks, longest) : tasks;
}

double task_pace::until_full_ns() const noexcept {
  constexpr double connection_bytes = 64 << 10;  // of results that surely fit into a worker's connection
  return connection_bytes / std::max(result_bytes_, 1.0) * task_ns_.value_or(0);
}

void task_pace::learn(std::uint32_t count, std::int64_t elapsed_ns, std::size_t bytes) noexcept {
  if (count == 0) return;
  worked_ns_ += static_cast<double>(elapsed_ns);
  double ns = static_cast<double>(elapsed_ns) / count;
  // A worker that had to wait for a processor has seen its tasks last for too long: one alone does not change much.
  constexpr double most_growth = 2;
  if (task_ns_) ns = std::min(ns, most_growth * std::max(*task_ns_, 1.0));
  // The newest observation counts half: tasks change slowly, but the first ones run on cold memory.
  task_ns_ = task_ns_ ? (*task_ns_ + ns) / 2 : ns;
  result_bytes_ = (result_bytes_ + static_cast<double>(bytes) / count) / 2;
}

namespace pace {

nanoseconds stall_patience(std::optional<nanoseconds> task_timeout) noexcept {
  constexpr nanoseconds least = std::chrono::seconds(1);
  constexpr nanoseconds most = std::chrono::seconds(10);
  return task_timeout ? std::clamp(*task_timeout, least, most) : most;
}

}  // namespace pace
}  // namespace lenskit::detail
