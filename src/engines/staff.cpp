#include <lenskit/detail/engines/event_source.hpp>
#include <lenskit/detail/engines/obituary.hpp>
#include <lenskit/detail/engines/staff.hpp>
#include <lenskit/detail/log/levels.hpp>
#include <lenskit/detail/os/channel.hpp>
#include <lenskit/detail/os/errors.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/worker/crash_handler.hpp>

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <new>
#include <system_error>
#include <utility>

namespace lenskit::detail {
namespace {

using namespace std::chrono_literals;
// How long the spawner may take to report a death that the parent has already seen.
constexpr auto spawner_patience = 5s;

// Starts that fail in a row, with growing pauses, while there is no worker, before the pool is given up: seconds.
constexpr int most_failed_starts = 8;

}  // namespace

staff::staff(worker_program& program, journal& journals, poller& events, attendance& logs, int workers)
    : program_(program),
      journals_(journals),
      events_(events),
      logs_(logs),
      slots_(static_cast<std::size_t>(workers)),
      prepared_(static_cast<std::size_t>(workers)) {
  next_spawner_ = hire_everybody();
  install_spawner();
  if (spawner_.gone) throw_errno("cannot watch the workers", EMFILE);
  hear_spawner();
}
// ---- hiring --------------------------------------------------------------------------------------------------------

staff::seat staff::make_seat(int worker, int spare) {
  auto stream = make_stream();
  auto log = make_pipe();
  if (!descriptors_left(spare, log.second.get())) throw_errno("cannot create a worker's connection", EMFILE);
  auto reader = std::make_shared<report_reader>(std::move(log.first), worker);
  auto slot = std::make_unique<worker_slot>(std::move(stream.first), std::move(reader), journals_.of(worker));
  slot->levels_version = inherited_levels_;
  return {std::move(slot), {std::move(stream.second), std::move(log.second)}};
}

void staff::watch(int worker) { events_.watch(at(worker)->link.fd(), key_of(event_source::stream, worker)); }

// Forks the spawner and, through it, the first workers, which come when they come; the leader asks for the others.
// Where descriptors are few, there are fewer workers.
std::unique_ptr<spawner> staff::hire_everybody() {
  inherited_levels_ = levels_version();
  constexpr int of_spawner = 3;  // both ends of its connection, and its handle
  std::vector<worker_ends> ends;
  const int first = std::min(size(), spawner::most_unanswered());
  for (int worker = 0; worker < first; ++worker) {
    try {
      journals_.of(worker).reset();
      auto made = make_seat(worker, worker == 0 ? 0 : of_spawner + worker + 1 + left_for_others);
      prepared_[static_cast<std::size_t>(worker)].slot = std::move(made.slot);
      ends.push_back(std::move(made.ends));
    } catch (const std::system_error& error) {
      if (worker == 0) throw;
      start_failed("a worker", error.what());
      break;
    }
  }
  auto made = std::make_unique<spawner>(program_, ends);
  hiring_.unanswered = static_cast<int>(ends.size());
  return made;
}

// From now on what the worker logs can be heard.
void staff::open_reports(int worker) noexcept {
  at(worker)->unmet->belongs_to(at(worker)->pid);
  at(worker)->reports = std::move(at(worker)->unmet);
}

// Takes up a worker that runs. Everything that takes memory was made with its seat: the spawner tells of it once (A1).
void staff::greet(int worker, process started) noexcept {
  auto& slot = *at(worker);
  slot.pid = started.pid();
  hiring_.failures_in_a_row = 0;
  hiring_.next_at = {};
  hiring_.at_once = std::min(2 * hiring_.at_once, spawner::most_unanswered());
  hiring_.misses_workers = hiring_.misses_workers && missing();
  ++starts_;
  open_reports(worker);
  {
    const std::lock_guard held(slot.mutex);
    slot.handle = std::move(started);
    if (slot.killed) spawner_->signal(slot.handle, SIGKILL);  // given up before it was known
  }
  slot.running = true;
  try {
    logs_.hear(worker, slot.reports);
    events_.watch(slot.handle.pidfd(), key_of(event_source::process, worker));
  } catch (const std::exception&) {  // a worker that cannot be watched is replaced; the spawner reports its end
    kill(slot);
  }
}

void staff::signal(worker_slot& slot, int number) noexcept {
  const std::lock_guard held(slot.mutex);
  if (spawner_ && slot.handle) spawner_->signal(slot.handle, number);
}

void staff::kill(worker_slot& slot) noexcept {
  slot.unreachable = slot.killed = true;
  signal(slot, SIGKILL);
}

void staff::prepare_replacements(bool stopping) noexcept {
  if (stopping || next_spawner_) return;
  if (spawner_.gone) {
    if (awaits_spawner() && broken_.empty() && steady::now() >= hiring_.next_at) replace_spawner();
    return;
  }
  int ready = 0;
  for (int worker = 0; worker < size() && hiring_.unanswered + ready < hiring_.at_once; ++worker) {
    auto& next = prepared_[static_cast<std::size_t>(worker)];
    if (at(worker) != nullptr) continue;
    if (!next.slot && steady::now() < hiring_.next_at) return;
    try {
      if (!next.slot) next = make_seat(worker, 1 + left_for_others);
      ++ready;
    } catch (const std::exception& error) {
      start_failed("a worker", error.what());
    }
  }
}

void staff::seat_prepared(int worker) noexcept {
  auto& ready = prepared_[static_cast<std::size_t>(worker)];
  spawner_.proven |= journals_.of(worker).ready.load() != 0;
  journals_.of(worker).reset();
  auto& slot = slots_[static_cast<std::size_t>(worker)];
  slot = std::move(ready.slot);
  const auto ends = std::exchange(ready.ends, {});
  try {
    watch(worker);
    spawner_.gone |= !spawner_->spawn(worker, ends);
    ++hiring_.unanswered;
  } catch (const std::exception& error) {
    slot.reset();
    start_failed("a worker", error.what());
  }
}

void staff::replace(engine_listener& listener) noexcept {
  if (spawner_.gone && !std::exchange(spawner_.loss_told, true)) listener.on_spawner_lost();
  if (next_spawner_) install_spawner();
  for (int worker = 0; worker < size() && broken_.empty() && !spawner_.gone && !next_spawner_; ++worker) {
    if (at(worker) == nullptr && prepared_[static_cast<std::size_t>(worker)].slot && may_start()) seat_prepared(worker);
  }
  if (const int error = lost_.exchange(0); error != 0 && broken_.empty())
    give_up("the program has closed a descriptor of this library", std::strerror(error));
  if (!broken_.empty()) listener.on_broken(std::exchange(broken_, {}));
}

// What could not be forked or connected is tried again after a pause that grows. As long as one worker lives, the
// others are merely missed; the engine is broken when none is left and none to be had.
void staff::start_failed(const char* what, const char* why) noexcept try {
  constexpr auto first_pause = 20ms;
  constexpr int most_doublings = 6;
  hiring_.at_once = 1;
  // Asked for together with the one before it?
  if (hiring_.failures_in_a_row > 0 && steady::now() < hiring_.next_at) return;
  hiring_.next_at = steady::now() + first_pause * (1 << std::min(++hiring_.failures_in_a_row, most_doublings));
  const bool says_so = !std::exchange(hiring_.misses_workers, true);
  if (says_so) warning_ = fmt::format("{} cannot be started and is missed until it can: {}", what, why);
  if (is_empty() && hiring_.failures_in_a_row >= most_failed_starts)
    broken_ = fmt::format("cannot replace {}: {}", what, why);
} catch (const std::exception&) {  // no memory for a message
}

void staff::give_up(const char* what, const char* why) noexcept try {
  broken_ = fmt::format("{}: {}", what, why);
} catch (const std::exception&) {  // no memory for a message
  broken_ = "no memory";           // short enough to need none
}

// The spawner was killed, and every worker with it. Another is forked; it sees the model as it is now. Not under the
// dispatcher's lock: that takes long, and asks the user's objections to forks.
void staff::replace_spawner() noexcept {
  if (spawner_->fd() >= 0) events_.forget(spawner_->fd());
  spawner_->end();
  for (auto& each : prepared_) each = {};
  try {
    next_spawner_ = hire_everybody();
  } catch (const std::bad_alloc& error) {  // it is tried again (A1)
    start_failed("the spawner of the workers", error.what());
  } catch (const std::exception& error) {
    give_up("cannot replace the spawner of the workers", error.what());
  }
  if (!next_spawner_) std::ranges::for_each(prepared_, [](auto& each) { each = {}; });
}

// Puts the spawner and the workers that were asked for in place.
void staff::install_spawner() noexcept {
  spawner_ = {.handle = std::move(next_spawner_), .unheard = true};
  try {
    for (int worker = 0; worker < size(); ++worker) {
      auto& ready = prepared_[static_cast<std::size_t>(worker)].slot;
      if (!ready || worker >= hiring_.unanswered) continue;
      slots_[static_cast<std::size_t>(worker)] = std::move(ready);
      watch(worker);
    }
    events_.watch(spawner_->fd(), key_of(event_source::spawner));
  } catch (const std::exception&) {  // what cannot be watched is of no use
    spawner_.gone = true;
  }
}

void staff::suspect(int worker) noexcept {
  for (int each = 0; each < size(); ++each) spawner_.proven |= journals_.of(each).ready.load() != 0;
  if (!spawner_.proven || (at(worker) != nullptr && !at(worker)->running)) spawner_.gone = true;
}

// ---- hearing -------------------------------------------------------------------------------------------------------

steady::time_point staff::deadline(bool stopping) const noexcept {
  if (spawner_.unheard) return steady::time_point{};
  if ((next_spawner_ || lost_ != 0) && !stopping) return steady::time_point{};  // to be put in place, to be told
  if (spawner_.gone && !stopping) return awaits_spawner() ? hiring_.next_at : steady::time_point{};
  auto next = steady::time_point::max();
  for (std::size_t worker = 0; worker < slots_.size(); ++worker) {
    const auto* slot = slots_[worker].get();
    if (slot == nullptr) {
      if (!stopping && may_start()) next = std::min(next, hiring_.next_at);
      continue;
    }
    if (slot->end.status) return steady::time_point{};  // to be buried
    if (slot->end.seen_at) next = std::min(next, *slot->end.seen_at + spawner_patience);
    next = std::min(next, slot->ending.kill_at());
    if (slot->link.clogged()) next = std::min(next, steady::now() + 1ms);
  }
  return next;
}

void staff::hear_spawner() {
  spawner_.unheard = true;  // until all of it is
  while (auto news = spawner_->next()) {
    auto* slot = news->slot >= 0 && news->slot < size() ? at(news->slot) : nullptr;
    const bool answers = news->what == spawner_event::kind::started || news->what == spawner_event::kind::failed;
    if (answers) hiring_.unanswered = std::max(hiring_.unanswered - 1, 0);
    switch (news->what) {
      case spawner_event::kind::started:
        if (slot != nullptr) greet(news->slot, std::move(news->worker));
        break;
      case spawner_event::kind::ended:
        if (slot != nullptr && slot->pid == news->pid) slot->end.status = news->status;
        break;
      case spawner_event::kind::failed:
        if (slot == nullptr) break;
        slot->end.start_error = news->error;
        slot->end.status = exit_status{};
        break;
      case spawner_event::kind::gone:
        spawner_.gone = true;
        events_.forget(spawner_->fd());
        break;
    }
    if (spawner_.gone) break;
  }
  spawner_.unheard = false;
}

bool staff::meet(int worker) {
  const auto& slot = *at(worker);
  if (slot.reports) return true;
  constexpr int moment_ms = 5;
  pollfd news{spawner_->fd(), POLLIN, 0};
  if (!spawner_.gone && (spawner_.unheard || sys::poll(&news, 1, moment_ms) > 0)) hear_spawner();
  return slot.reports != nullptr;
}

void staff::notice_end(int worker) noexcept {
  auto* slot = at(worker);
  if (slot == nullptr || slot->end.seen_at) return;
  events_.forget(slot->handle.pidfd());
  slot->end.seen_at = steady::now();
}

// ---- burying -------------------------------------------------------------------------------------------------------

// Workers whose end the spawner does not tell, because it is gone itself or stuck.
void staff::find_lost() noexcept {
  for (const auto& slot : slots_) {
    if (slot && slot->end.is_overdue(steady::now(), spawner_patience)) spawner_.gone = true;
  }
  if (!spawner_.gone) return;
  spawner_->kill();  // it may live, and so may what it has forked and not told of
  for (const auto& slot : slots_) {
    if (!slot || slot->end.status) continue;
    if (slot->handle) spawner_->signal(slot->handle, SIGKILL);
    slot->handle.signal_group(SIGKILL);  // what the spawner can no longer do
    const auto until = steady::now() + spawner_patience;
    // What it runs must not be run by another at the same time. One that was never heard of dies with its spawner.
    std::ignore = slot->handle ? slot->handle.wait_ended(until) : wait_closed(slot->link.fd(), until);
    std::ignore = slot->handle.reap();  // where this process adopts orphans
    slot->end.status = exit_status{};
  }
}

std::list<death_event> staff::describe_death(int worker, worker_slot& slot) {
  std::list<death_event> made(1);
  made.front().worker = worker;
  auto& death = made.front().death;
  death.room.resize(3);
  death.pid = slot.pid;
  logs_.forget(worker);
  slot.reports->finish();
  death.report.log_tail = slot.reports->last_lines();
  if (const auto crash = slot.reports->crash()) death.stack = describe_crash(*crash);
  death.report.status = *slot.end.status;
  death.ended_by_pool = slot.ending.is_placed();
  death.start_error = slot.end.start_error;
  death.report.probably_out_of_memory = slot.end.status->signal == SIGKILL && !slot.end.status->stopped &&
                                        !slot.ending.is_placed() && !slot.killed && !spawner_.gone;
  death.lost_with_spawner = spawner_.gone && !slot.end.status->known();
  death.will = read_last_will(journals_.of(worker));
  if (death.will.started_at != 0) death.report.elapsed = std::chrono::nanoseconds(now_ns() - death.will.started_at);
  death.summary =
      slot.ending.is_placed() ? fmt::format("worker {}: stalled outside of a task", slot.pid) : summary_of(death);
  slot.end.told = true;
  return made;
}

void staff::dismiss(int worker, int start_error) noexcept {
  auto& slot = slots_[static_cast<std::size_t>(worker)];
  if (slot->link.open()) events_.forget(slot->link.fd());
  if (slot->handle && !slot->end.seen_at) events_.forget(slot->handle.pidfd());
  slot.reset();
  if (start_error == 0) {
    hiring_.next_at = {};  // what it held can be had again
    return;
  }
  try {
    start_failed("a worker", error_text(start_error).c_str());
  } catch (const std::exception&) {  // no memory for the text
    start_failed("a worker", "no memory");
  }
}

// ---- the end -------------------------------------------------------------------------------------------------------

// A worker ends by itself when its stream closes, unless it runs a task: then it is asked to, and at last made to.
void staff::close(int worker, bool busy) noexcept {
  if (worker == 0 && spawner_ && !spawner_.gone) try {
      hear_spawner();                  // of what it has started in the meantime
    } catch (const std::exception&) {  // what nobody hears of dies with the spawner
    }
  auto* slot = at(worker);
  if (slot == nullptr) return;
  if (slot->link.open()) events_.forget(slot->link.fd());
  slot->link.close();
  if (busy) signal(*slot, SIGTERM);
}

void staff::end_all() noexcept {
  if (next_spawner_) next_spawner_->end();
  if (!spawner_) return;
  constexpr auto moment = 50ms;
  const auto settled = steady::now() + moment;
  for (const auto& slot : slots_) {
    if (slot && slot->handle && !slot->handle.wait_ended(settled)) signal(*slot, SIGTERM);
  }
  constexpr auto grace = 1s;
  const auto deadline = steady::now() + grace;
  for (const auto& slot : slots_) {
    if (!slot || !slot->handle) continue;
    if (!slot->handle.wait_ended(deadline)) {
      signal(*slot, SIGKILL);
      std::ignore = slot->handle.wait_ended(steady::now() + grace);
    }
    slot->handle.signal_group(SIGKILL);  // the spawner does it too, if nobody has killed it
  }
  spawner_->end();
  spawner_.handle.reset();
  for (int worker = 0; worker < size(); ++worker) {
    auto* slot = at(worker);
    if (slot == nullptr) continue;
    if (slot->unmet) open_reports(worker);  // it has run, but was never heard of
    logs_.forget(worker);
    slot->reports->finish();
  }
}

}  // namespace lenskit::detail
