#include <lenskit/detail/dispatch/blame.hpp>
#include <lenskit/detail/dispatch/call.hpp>
#include <lenskit/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

namespace lenskit::detail {
namespace {

// Deaths without a success in between before the pool gives up, for each worker (W7).
constexpr int deaths_per_worker = 3;
constexpr int most_spawners_lost = 3;  // likewise

template <class Error, class... Args>
std::exception_ptr failure_of(Args&&... args) noexcept {
  try {
    return std::make_exception_ptr(Error(std::forward<Args>(args)...));
  } catch (...) {  // no memory to say it with: that is the failure then
    return std::current_exception();
  }
}

}  // namespace

blame::blame(int workers, int max_retries, std::optional<std::chrono::nanoseconds> task_timeout) noexcept
    : most_deaths_(static_cast<int>(
          std::min<std::int64_t>(std::int64_t{deaths_per_worker} * workers, std::numeric_limits<int>::max()))),
      max_retries_(max_retries),
      task_timeout_(task_timeout) {}

void blame::note_success() noexcept { deaths_in_a_row_ = spawners_in_a_row_ = 0; }

void blame::settle(const std::shared_ptr<chunk>& work, worker_death& death, bool late) noexcept {
  auto& will = death.will;
  auto& out = work->call->out;
  charged_again_ = false;
  // Positions of a will count from where the worker's part of the chunk begins.
  const auto given = work->limit - work->base;
  const auto done_before = work->settled - work->base;
  if (will.base <= done_before && will.finished > done_before && will.finished <= given) {
    outcome_list saved;
    saved.splice(saved.end(), death.room, death.room.begin());
    auto& part = saved.front();
    part.skip = done_before - will.base;
    part.count = will.finished - done_before;
    part.payload = std::move(will.saved);
    part.worker_pid = death.pid;
    out.settle(work, std::move(saved));
    work->deaths = 0;
    note_success();
  }
  const auto position = work->settled - work->base;
  const bool running = will.started > position && will.owned > position && position < given;
  if (!running) return;
  charged_again_ = work->deaths > 0;
  if (!late && work->deaths++ < max_retries_) return;
  work->deaths = 0;
  task_failure failure;
  failure.index = static_cast<std::size_t>(work->first_index + work->settled);
  failure.worker_pid = death.pid;
  failure.stack = std::move(death.stack);
  auto& part = death.room.front();
  part.count = 1;
  if (late) {
    part.failure = failure_of<lenskit::task_timeout>(std::move(failure), *task_timeout_);
  } else {
    part.failure = failure_of<worker_died>(std::move(failure), std::move(death.report));
  }
  out.settle(work, std::move(death.room));
}

// What was never forked, or lost with its spawner, is no proof that tasks kill; nor is what the pool ended for a late
// task.
void blame::count(worker_death& death, bool late) noexcept {
  const bool again = std::exchange(charged_again_, false);
  if (death.ended_by_pool && late) return;
  const bool counts = death.start_error == 0 && !death.lost_with_spawner && !again;
  deaths_in_a_row_ += counts ? 1 : 0;
  last_deaths_[deaths_++ % remembered] = std::move(death.summary);
}

bool blame::hopeless() const noexcept {
  return deaths_in_a_row_ >= most_deaths_ || spawners_in_a_row_ >= most_spawners_lost;
}

std::exception_ptr blame::verdict() const noexcept try {
  if (spawners_in_a_row_ >= most_spawners_lost) {
    return verdict(
        fmt::format("gave up after the spawner of the workers was lost {} times in a row", spawners_in_a_row_));
  }
  return verdict(fmt::format("gave up after {} worker deaths in a row", deaths_in_a_row_));
} catch (...) {
  return std::current_exception();
}

std::exception_ptr blame::verdict(const std::string& why) const noexcept try {
  std::vector<std::string> causes;
  const auto first = deaths_ - std::min(deaths_, remembered);
  for (auto each = first; each < deaths_; ++each) causes.push_back(last_deaths_[each % remembered]);
  return std::make_exception_ptr(broken_pool(why, std::move(causes)));
} catch (...) {
  return std::current_exception();
}

}  // namespace lenskit::detail
