#include <lenskit/detail/dispatch/overdue.hpp>
#include <lenskit/detail/dispatch/pace.hpp>

#include <algorithm>

namespace lenskit::detail {

overdue::overdue(std::size_t workers, std::optional<std::chrono::nanoseconds> task_timeout)
    : task_timeout_(task_timeout), of_(workers) {}

// A timeout may be as long as a duration can say: then it is never.
steady::time_point overdue::due_at(const worker_view::task& task) const noexcept {
  const auto started = steady::time_point(std::chrono::nanoseconds(task.started_at));
  auto due = after(started, *task_timeout_);
  for (const auto& each : absences_) {
    if (started < each.end) due = after(due, each.end - std::max(started, each.begin));
    if (started < each.begin) due = after(due, each.forgotten);
  }
  return due;
}

steady::time_point overdue::next_look(const worker_engine& engine, steady::time_point now) const noexcept {
  auto next = std::max(look_for_stalls_at_, now);
  if (!task_timeout_) return next;
  next = std::min(next, after(now, *task_timeout_));  // a task that starts later than now cannot be due earlier
  for (std::size_t worker = 0; worker < of_.size(); ++worker) {
    if (of_[worker].late) continue;
    const auto task = engine.look(static_cast<int>(worker), aspect::task).in_hand;
    if (task) next = std::min(next, due_at(*task));
  }
  return next;
}

std::optional<worker_view::task> overdue::late_task(const worker_engine& engine, int worker,
                                                    steady::time_point now) noexcept {
  auto& known = of_[static_cast<std::size_t>(worker)];
  if (!task_timeout_ || known.late) return std::nullopt;
  const auto task = engine.look(worker, aspect::task).in_hand;
  if (!task || now < due_at(*task)) return std::nullopt;
  return task;
}

void overdue::note_late(int worker, const worker_view::task& task) noexcept {
  of_[static_cast<std::size_t>(worker)].late = task;
}

bool overdue::was_late(int worker) const noexcept { return of_[static_cast<std::size_t>(worker)].late.has_value(); }

bool overdue::was_late(int worker, std::uint64_t chunk, std::uint32_t position) const noexcept {
  const auto& late = of_[static_cast<std::size_t>(worker)].late;
  return late && late->chunk == chunk && late->position == position;
}

bool overdue::stall_look_due(steady::time_point now) noexcept {
  if (now < look_for_stalls_at_) return false;
  look_for_stalls_at_ = now + pace::stall_patience(task_timeout_) / pace::looks_to_stall;
  return true;
}

bool overdue::stalled(const worker_engine& engine, int worker, bool has_work) noexcept {
  auto& known = of_[static_cast<std::size_t>(worker)];
  const auto seen = has_work ? engine.look(worker, aspect::progress).between_tasks : std::nullopt;
  known.unchanged = seen && seen == known.seen ? known.unchanged + 1 : 0;
  known.seen = seen;
  if (known.unchanged < pace::looks_to_stall) return false;
  known.unchanged = 0;
  return true;
}

void overdue::reset(int worker) noexcept { of_[static_cast<std::size_t>(worker)] = {}; }

// Nobody knows when in that time everything stood still, so all of it is nobody's: a deadline that falls into a pause
// of the program would else have passed at its end.
void overdue::note_absence(steady::time_point since, steady::time_point meant, steady::time_point now) noexcept {
  if (meant == steady::time_point::max() || now - meant < pace::absence) return;
  // What is forgotten is added to what follows it, for tasks that have lived through both.
  const auto forgotten = absences_[next_absence_++ % absences_.size()];
  absences_[next_absence_ % absences_.size()].forgotten += forgotten.forgotten + (forgotten.end - forgotten.begin);
  absences_[(next_absence_ - 1) % absences_.size()] = {since, now, {}};
  for (auto& each : of_) each.unchanged = 0;
}

}  // namespace lenskit::detail
