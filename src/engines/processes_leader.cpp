// What the leading thread does for the processes engine: it hears workers, buries the dead and replaces them.
#include "processes_keys.hpp"

#include <lenskit/detail/engines/processes.hpp>
#include <lenskit/detail/log/log_line.hpp>
#include <lenskit/detail/log/progress_board.hpp>
#include <lenskit/detail/os/channel.hpp>
#include <lenskit/detail/os/other_threads.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/wire/reader.hpp>
#include <lenskit/detail/worker/crash_handler.hpp>

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <utility>

namespace lenskit::detail {
namespace {

using namespace std::chrono_literals;

// How long the spawner may take to report a death that the parent has already seen.
constexpr auto spawner_patience = 5s;

// Forks that fail in a row, with growing pauses, before a slot is given up for lost: seconds.
constexpr int most_failed_starts = 8;

// While workers log without a pause, the attendant lets records pile up: to be woken for each would cost the workers
// more than to write them. What arrives in a rest fits into a log pipe.
constexpr std::size_t busy_log_bytes = 4096;
constexpr auto log_rest = 300us;

}  // namespace

// ---- collecting, by the leader -------------------------------------------------------------------------------------

steady::time_point processes_engine::own_deadline() const {
  auto deadline = steady::time_point::max();
  if (spawner_gone_ && !stopping_) return steady::time_point{};  // found out under the lock
  for (const auto& handle : handles_) {
    if (handle.status && handle.state != worker_state::vacant) return steady::time_point{};  // to be buried
    deadline = std::min(deadline, handle.kill_at);
    if (handle.state == worker_state::vacant && !stopping_) deadline = std::min(deadline, handle.retry_at);
    if (handle.ended_at != steady::time_point{} && !handle.status) {
      deadline = std::min(deadline, handle.ended_at + spawner_patience);
    }
  }
  return deadline;
}

void processes_engine::wait(steady::time_point deadline, bool attending) {
  std::array<readiness, 64> room;
  if (!warning_.empty()) log_warning(std::exchange(warning_, {}));
  deadline = std::min(deadline, own_deadline());
  if (attending) {
    bool logs = false;
    for (const auto& ready : all_.wait(room, deadline)) logs |= kind_of(ready) == source::attendance;
    if (logs) drain_logs(steady::time_point{});
    deadline = steady::time_point{};
  }
  const auto ready = results_.wait(room, deadline);
  // The spawner first: what it says of a worker's start is needed to understand the worker.
  for (const auto& each : ready) {
    if (kind_of(each) == source::spawner) hear_spawner();
  }
  for (const auto& each : ready) hear(each);
  bury_the_dead();
}

bool processes_engine::watch(std::chrono::nanoseconds most) noexcept {
  std::array<readiness, 1> any;
  const auto until = steady::now() + most;
  do {
    if (!results_.wait(any, steady::time_point{}).empty()) return true;
  } while (steady::now() < until);
  return false;
}

void processes_engine::hear(const readiness& ready) {
  switch (kind_of(ready)) {
    case source::stream:
      if (ready.writable) with_room_.push_back(worker_of(ready));
      if (ready.readable) receive_from(worker_of(ready));
      break;
    case source::process: notice_end(worker_of(ready)); break;
    case source::interrupt: interrupt_.clear(); break;
    default: break;
  }
}

void processes_engine::hear_spawner() {
  while (auto news = spawner_->next()) {
    switch (news->what) {
      case spawner_event::kind::started: greet(news->slot, std::move(news->worker)); break;
      case spawner_event::kind::ended:
        if (at(news->slot).pid == news->pid) at(news->slot).status = news->status;
        break;
      case spawner_event::kind::failed:
        at(news->slot).start_error = news->error;
        at(news->slot).status = exit_status{};
        break;
      case spawner_event::kind::gone:
        spawner_gone_ = true;
        results_.forget(spawner_->fd());
        return;
    }
  }
}

// A worker may speak before the spawner has told that it runs: what it logged cannot be heard until then. False if
// there is no news of it yet.
bool processes_engine::meet(int worker) {
  const auto& handle = at(worker);
  if (handle.reports) return true;
  constexpr int moment_ms = 5;
  pollfd news{spawner_->fd(), POLLIN, 0};
  if (!spawner_gone_ && sys::poll(&news, 1, moment_ms) > 0) hear_spawner();
  return handle.reports != nullptr;
}

void processes_engine::receive_from(int worker) {
  auto& handle = at(worker);
  if (!handle.stream || !handle.incoming || !meet(worker)) return;
  // Then others get their turn, and the consumer: what is left to pile up here leaves the caches before it is looked
  // at.
  constexpr int bursts = 4;
  for (int burst = 0; burst < bursts; ++burst) {
    transfer result;
    try {
      result = handle.incoming->receive(handle.stream.get(), blocking::dont_wait);
      handle.bytes_received += result.bytes;
      while (auto message = handle.incoming->next()) take_message(worker, std::move(*message));
    } catch (const serialization_error&) {  // it has lost its senses: nothing it says can be believed any more
      result.state = transfer::end::closed;
    }
    if (result.state == transfer::end::would_block) return;
    // What arrives from now on, an end of file too, makes the poller say so again.
    if (result.state == transfer::end::more && handle.incoming->drained()) return;
    if (result.state == transfer::end::closed) {
      results_.forget(handle.stream.get());
      handle.incoming.reset();
      // A process closes its descriptors a moment before it has ended. One that lives on without them is of no use.
      constexpr auto moment = 5ms;
      if (!handle.handle || !handle.handle.wait_ended(steady::now() + moment)) kill_worker(handle);
      return;
    }
  }
}

void processes_engine::take_message(int worker, frame message) {
  if (message.type != static_cast<std::uint8_t>(message::results)) return;
  const auto head = reader(message.payload.bytes()).get<results_head>("a results message");
  // What a task has logged is heard before its result.
  at(worker).reports->drain_until(head.reports);
  events_.push_back({.worker = worker, .message = std::move(message)});
}

void processes_engine::notice_end(int worker) {
  auto& handle = at(worker);
  results_.forget(handle.handle.pidfd());
  handle.ended_at = steady::now();
}

void processes_engine::bury_the_dead() {
  for (int worker = 0; worker < options_.workers; ++worker) {
    const auto& handle = at(worker);
    const bool unreported = handle.ended_at != steady::time_point{} && !handle.status;
    if (unreported && steady::now() - handle.ended_at > spawner_patience) spawner_gone_ = true;
  }
  if (spawner_gone_) spawner_->kill();  // it may live and be stuck, and so may what it has forked and not told of
  for (int worker = 0; worker < options_.workers; ++worker) {
    auto& handle = at(worker);
    if (handle.state == worker_state::vacant) continue;
    if (spawner_gone_ && !handle.status) {
      spawner_->signal(handle.handle, SIGKILL);
      handle.handle.signal_group(SIGKILL);  // what the spawner can no longer do
      const auto deadline = steady::now() + spawner_patience;
      // What it runs must not be run by another at the same time. One that was never heard of dies with its spawner.
      std::ignore = handle.handle ? handle.handle.wait_ended(deadline) : wait_closed(handle.stream.get(), deadline);
      std::ignore = handle.handle.reap();  // where this process adopts orphans
      handle.status = exit_status{};
    }
    if (handle.status) bury(worker);
  }
}

// Hears a dead worker out, and reports its death.
void processes_engine::bury(int worker) {
  auto& handle = at(worker);
  if (!handle.reports) open_reports(worker);  // the spawner died before it could tell of it
  while (handle.incoming) {
    transfer result;
    try {
      result = handle.incoming->receive(handle.stream.get(), blocking::dont_wait);
      while (auto message = handle.incoming->next()) take_message(worker, std::move(*message));
    } catch (const serialization_error&) {
      break;
    }
    if (result.state != transfer::end::more) break;
  }
  if (handle.stream) results_.forget(handle.stream.get());
  if (handle.handle && handle.ended_at == steady::time_point{}) results_.forget(handle.handle.pidfd());
  event end{.worker = worker};
  auto& death = end.death;
  death.pid = handle.pid;
  attendance_.forget(handle.reports->fd());
  handle.reports->finish();
  death.report.log_tail = handle.reports->last_lines();
  if (const auto crash = handle.reports->crash()) death.stack = describe_crash(*crash);
  death.report.signal = handle.status->signal;
  death.report.exit_code = handle.status->exit_code;
  death.report.core_dumped = handle.status->core_dumped;
  death.report.stopped = handle.status->stopped;
  death.report.peak_memory = handle.status->peak_memory;
  death.ended_by_pool = handle.end_requested;
  death.start_error = std::exchange(handle.start_error, 0);
  death.report.probably_out_of_memory = handle.status->signal == SIGKILL && !handle.status->stopped &&
                                        !handle.end_requested && !handle.killed && !spawner_gone_;
  death.lost_with_spawner = spawner_gone_ && !handle.status->signal && !handle.status->exit_code;
  death.will = read_last_will(journal_.of(worker));
  handle.status.reset();
  handle.ended_at = {};
  events_.push_back(std::move(end));
}

// Waits for logs and passes them on. True if the bell rang or somebody interrupted.
bool processes_engine::drain_logs(steady::time_point deadline) {
  log_bytes_ = 0;
  std::array<readiness, 64> room;
  bool called = false;
  for (const auto& ready : attendance_.wait(room, deadline)) {
    switch (kind_of(ready)) {
      case source::log: {
        std::unique_lock held(handles_mutex_);
        const auto reports = at(worker_of(ready)).reports;
        held.unlock();
        if (!reports) break;
        log_bytes_ += reports->drain();
        // The pipe must say it: what was ready may have been the log of the worker before this one.
        if (reports->at_end()) attendance_.forget(reports->fd());
        break;
      }
      case source::bell:
        bell_.clear();
        called = true;
        break;
      default:
        attend_interrupt_.clear();
        called = true;
        break;
    }
  }
  return called;
}

void processes_engine::attend() {
  static thread_local constinit bool is_named = false;
  if (!std::exchange(is_named, true)) name_thread_of_library();
  auto next_redraw = steady::time_point::max();
  while (!drain_logs(next_redraw)) {
    const int pause = progress_board::instance().redraw_if_due();
    next_redraw = pause < 0 ? steady::time_point::max() : steady::now() + std::chrono::milliseconds(pause);
    if (log_bytes_ >= busy_log_bytes) attend_interrupt_.wait_for(log_rest);
  }
}

// ---- reporting and mending, under the dispatcher's lock ------------------------------------------------------------

void processes_engine::report(engine_listener& listener) {
  reported_.clear();
  std::swap(events_, reported_);
  for (auto& each : reported_) {
    if (each.message) {
      listener.on_results(each.worker, at(each.worker).pid, std::move(*each.message));
      continue;
    }
    auto& handle = at(each.worker);
    handle.state = worker_state::vacant;
    handle.stream.reset();
    {
      const std::lock_guard held(handles_mutex_);
      handle.handle = process();
    }
    handle.retry_at = {};
    if (each.death.start_error != 0) start_failed(each.worker, std::strerror(each.death.start_error));
    listener.on_death(each.worker, std::move(each.death));
  }
  for (const int worker : std::exchange(with_room_, {})) {
    if (at(worker).stream) flush(worker);
  }
  kill_overdue();
  if (stopping_) return;
  if (spawner_gone_) listener.on_spawner_lost();
  if (spawner_gone_ && !stopping_) replace_spawner();
  for (int worker = 0; worker < options_.workers && !stopping_ && broken_.empty(); ++worker) {
    if (at(worker).state == worker_state::vacant && steady::now() >= at(worker).retry_at) replace(worker);
  }
  if (!broken_.empty()) listener.on_broken(std::exchange(broken_, {}));
}

// What could not be forked or connected is tried again after a pause that grows. As long as one worker lives, the
// others are merely missed; the engine is broken when none is left and none to be had.
void processes_engine::start_failed(int worker, const std::string& why) {
  constexpr auto first_pause = 20ms;
  constexpr int most_doublings = 6;
  auto& handle = at(worker);
  if (std::all_of(handles_.begin(), handles_.end(), [](const auto& each) { return each.failed_starts == 0; }))
    warning_ = fmt::format("a worker cannot be started and is missed until it can: {}", why);
  handle.retry_at = steady::now() + first_pause * (1 << std::min(++handle.failed_starts, most_doublings));
  const bool hopeless = std::all_of(handles_.begin(), handles_.end(),
                                    [](const auto& each) { return each.failed_starts >= most_failed_starts; });
  if (hopeless) broken_ = fmt::format("cannot replace a worker: {}", why);
}

void processes_engine::replace(int worker) {
  auto& handle = at(worker);
  spawner_proven_ |= journal_.of(worker).ready.load() != 0;
  journal_.reset(worker);
  try {
    const auto ends = connect(worker);
    spawner_gone_ = !spawner_->spawn(worker, ends);
    return;
  } catch (const std::exception& error) {
    handle.stream.reset();
    handle.state = worker_state::vacant;
    start_failed(worker, error.what());
  }
}

// The spawner was killed, and every worker with it. Another is forked; it sees the model as it is now.
void processes_engine::replace_spawner() {
  spawner_gone_ = spawner_proven_ = false;
  results_.forget(spawner_->fd());
  spawner_->end();
  try {
    for (int worker = 0; worker < options_.workers; ++worker) journal_.reset(worker);
    fork_everybody();
  } catch (const std::exception& error) {
    broken_ = fmt::format("cannot replace the spawner of the workers: {}", error.what());
  }
}

}  // namespace lenskit::detail
