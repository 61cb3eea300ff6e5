#include "processes_keys.hpp"

#include <lenskit/detail/dispatch/call.hpp>
#include <lenskit/detail/engines/processes.hpp>
#include <lenskit/detail/log/worker_logging.hpp>
#include <lenskit/detail/log/worker_progress.hpp>
#include <lenskit/detail/os/child.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/wire/reader.hpp>
#include <lenskit/detail/worker/crash_handler.hpp>
#include <lenskit/detail/worker/worker_loop.hpp>

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

constexpr int most_chunks_per_worker = 16;
constexpr auto levels_valid_for = 20ms;

}  // namespace

processes_engine::processes_engine(std::shared_ptr<workplace> place, process_options options)
    : place_(std::move(place)),
      options_(std::move(options)),
      journal_(options_.workers),
      handles_(static_cast<std::size_t>(options_.workers)),
      levels_(encode_levels()) {
  results_.watch(interrupt_.fd(), key_of(source::interrupt));
  attendance_.watch(attend_interrupt_.fd(), key_of(source::interrupt));
  attendance_.watch(bell_.fd(), key_of(source::bell));
  all_.watch(results_.fd(), key_of(source::results));
  all_.watch(attendance_.fd(), key_of(source::attendance));
  prepare_crash_reports();
  fork_everybody();
}

processes_engine::~processes_engine() { shut_down(); }

int processes_engine::depth() const noexcept { return most_chunks_per_worker; }

// Makes the connections of a worker to come, and returns its ends.
worker_ends processes_engine::connect(int worker) {
  auto stream = make_stream();
  auto log = make_pipe();
  auto& handle = at(worker);
  results_.watch(stream.first.get(), key_of(source::stream, worker));
  handle.stream = std::move(stream.first);
  handle.log_end = std::move(log.first);
  {
    const std::lock_guard held(handles_mutex_);
    handle.reports.reset();  // of the worker before it
  }
  handle.incoming.emplace();
  handle.outgoing.clear();
  handle.awaiting_room = handle.unflushed = handle.end_requested = false;
  handle.unreachable = handle.killed = false;
  handle.sequence = 0;
  handle.bytes_sent = handle.bytes_received = 0;
  handle.levels_version = 0;
  handle.kill_at = steady::time_point::max();
  handle.ended_at = {};
  handle.status.reset();
  handle.pid = -1;
  handle.state = worker_state::starting;
  return {std::move(stream.second), std::move(log.second)};
}

// Forks the spawner and, through it, the workers; those behind the first come when they come.
void processes_engine::fork_everybody() {
  std::vector<worker_ends> seats;
  seats.reserve(handles_.size());
  for (int worker = 0; worker < options_.workers; ++worker) seats.push_back(connect(worker));
  spawner_ = std::make_unique<spawner>(static_cast<worker_program&>(*this), seats);
  results_.watch(spawner_->fd(), key_of(source::spawner));
  hear_spawner();
}

// From now on what the worker logs can be heard.
void processes_engine::open_reports(int worker) {
  auto& handle = at(worker);
  auto reports = std::make_shared<report_reader>(std::exchange(handle.log_end, descriptor()), handle.pid, worker);
  const std::lock_guard held(handles_mutex_);
  handle.reports = std::move(reports);
}

// Takes up a worker that runs.
void processes_engine::greet(int worker, process started) {
  auto& handle = at(worker);
  handle.pid = started.pid();
  handle.failed_starts = 0;
  ++starts_;
  open_reports(worker);
  {
    const std::lock_guard held(handles_mutex_);
    handle.handle = std::move(started);
    if (handle.killed) spawner_->signal(handle.handle, SIGKILL);  // given up before it was known
  }
  handle.state = worker_state::running;
  try {
    attendance_.watch(handle.reports->fd(), key_of(source::log, worker));
    results_.watch(handle.handle.pidfd(), key_of(source::process, worker));
  } catch (const std::exception&) {  // a worker that cannot be watched is replaced; the spawner reports its end
    kill_worker(handle);
  }
}

// ---- in the worker -------------------------------------------------------------------------------------------------

void processes_engine::run(int slot, worker_ends ends) noexcept {
  report_crashes();
  journal_.keep_only(slot);
  start_worker_logging(ends.log.release());
  if (options_.enter_worker) options_.enter_worker(slot);
  serve_tasks(std::move(ends.stream), *place_, journal_.of(slot));
  flush_worker_progress();
  report_drops();
  leave_child(0);
}

// ---- sending, under the dispatcher's lock --------------------------------------------------------------------------

bool processes_engine::usable(int worker) const noexcept {
  const auto& handle = handles_[static_cast<std::size_t>(worker)];
  return !stopping_ && handle.state != worker_state::vacant && !handle.end_requested && !handle.unreachable;
}

void processes_engine::send(int worker, std::shared_ptr<chunk> work) noexcept {
  push_levels(worker, *work->call);
  push(worker, outgoing_message(at(worker).sequence++, std::move(work), options_.keeps_time));
}

void processes_engine::flush() noexcept {
  for (int worker = 0; worker < options_.workers; ++worker) {
    if (at(worker).unflushed && !at(worker).awaiting_room) flush(worker);
  }
}

void processes_engine::recall(int worker, std::uint64_t chunk) noexcept {
  if (at(worker).state == worker_state::vacant) return;
  push(worker, outgoing_message(at(worker).sequence++, chunk));
  if (!at(worker).awaiting_room) flush(worker);
  journal_.of(worker).news.fetch_add(1, std::memory_order_release);
}

// Workers filter by the parent's levels: they are sent again when they have changed.
void processes_engine::push_levels(int worker, const call_state& call) {
  const auto now = steady::now();
  if (levels_checked_for_ != &call || now - levels_checked_at_ > levels_valid_for) {
    levels_checked_for_ = &call;
    levels_checked_at_ = now;
    auto current = encode_levels();
    if (current != levels_) {
      levels_ = std::move(current);
      ++levels_version_;
    }
  }
  auto& handle = at(worker);
  if (handle.levels_version == levels_version_) return;
  handle.levels_version = levels_version_;
  push(worker, outgoing_message(handle.sequence++, levels_));
}

void processes_engine::push(int worker, outgoing_message message) noexcept {
  at(worker).outgoing.push_back(std::move(message));
  at(worker).unflushed = true;
}

void processes_engine::flush(int worker) noexcept {
  auto& handle = at(worker);
  handle.unflushed = false;
  const auto last = send_messages(handle.outgoing, handle.stream.get());
  handle.bytes_sent += last.bytes;
  if (last.state == transfer::end::closed) {
    handle.outgoing.clear();
    handle.unreachable = true;
    // It has closed its end, or is gone: reading will tell. Any other error would leave it waiting for ever.
    if (!peer_is_gone(last.error)) kill_worker(handle);
    return;
  }
  const bool waits = !handle.outgoing.empty();
  if (waits == handle.awaiting_room) return;
  handle.awaiting_room = waits;
  const auto wanted = waits ? interest::read_and_write : interest::read;
  if (!results_.change(handle.stream.get(), key_of(source::stream, worker), wanted)) kill_worker(handle);
}

// The worker is of no more use. Its death gives its work to others.
void processes_engine::kill_worker(worker_handle& worker) noexcept {
  const std::lock_guard held(handles_mutex_);
  worker.unreachable = worker.killed = true;
  if (spawner_) spawner_->signal(worker.handle, SIGKILL);
}

void processes_engine::end_worker(int worker) noexcept {
  auto& handle = at(worker);
  if (handle.end_requested) return;
  constexpr auto grace = 200ms;
  handle.end_requested = true;
  handle.kill_at = steady::now() + grace;
  spawner_->signal(handle.handle, SIGTERM);
}

// A worker that never became ready may have inherited a lock that a thread of the host held when the spawner was forked
// (F1); then every worker of that spawner has. Or the spawner itself does not get to forking it.
void processes_engine::end_stalled(int worker) noexcept {
  for (int each = 0; each < options_.workers; ++each) spawner_proven_ |= journal_.of(each).ready.load() != 0;
  if (!spawner_proven_ || at(worker).state == worker_state::starting) spawner_gone_ = true;
  end_worker(worker);
}

void processes_engine::kill_overdue() noexcept {
  for (auto& handle : handles_) {
    if (steady::now() < handle.kill_at) continue;
    handle.kill_at = steady::time_point::max();
    spawner_->signal(handle.handle, SIGKILL);
  }
}

std::optional<worker_engine::task_in_hand> processes_engine::in_hand(int worker) const noexcept {
  const auto& block = journal_.of(worker);
  task_in_hand task;
  task.chunk = block.chunk.load(std::memory_order_acquire);
  const auto started = block.started.load(std::memory_order_acquire);
  const auto finished = block.finished.load(std::memory_order_acquire);
  task.started_at = block.started_at.load(std::memory_order_acquire);
  if (task.chunk == 0 || started <= finished || task.started_at == 0) return std::nullopt;
  task.position = finished;
  return task;
}

bool processes_engine::in_transfer(int worker) const noexcept {
  const auto& handle = handles_[static_cast<std::size_t>(worker)];
  return handle.awaiting_room || (handle.incoming && handle.incoming->in_the_middle());
}

std::optional<worker_engine::activity> processes_engine::between_tasks(int worker) const noexcept {
  const auto& block = journal_.of(worker);
  const auto& handle = handles_[static_cast<std::size_t>(worker)];
  activity seen;
  seen.chunk = block.chunk.load(std::memory_order_acquire);
  seen.started = block.started.load(std::memory_order_acquire);
  seen.finished = block.finished.load(std::memory_order_acquire);
  if (seen.chunk != 0 && seen.started > seen.finished) return std::nullopt;
  seen.base = block.base.load(std::memory_order_acquire);
  seen.bytes_moved = handle.bytes_sent + handle.bytes_received;
  if (handle.state == worker_state::starting) seen.bytes_moved += starts_;  // its turn will come
  return seen;
}

std::optional<int> processes_engine::processor(int worker) const noexcept {
  const auto number = journal_.of(worker).processor.load(std::memory_order_relaxed);
  return number < 0 ? std::nullopt : std::optional(number);
}

void processes_engine::interrupt() noexcept {
  interrupt_.raise();
  attend_interrupt_.raise();
}

void processes_engine::ring_in(std::chrono::nanoseconds delay) noexcept { bell_.ring_in(delay); }

void processes_engine::stop_working() noexcept {
  stopping_ = true;
  for (int worker = 0; worker < options_.workers; ++worker) {
    if (at(worker).state == worker_state::running || at(worker).handle) spawner_->signal(at(worker).handle, SIGTERM);
  }
}

void processes_engine::shut_down() noexcept {
  if (!spawner_) return;
  stopping_ = true;
  try {
    if (!spawner_gone_) hear_spawner();  // of what it has started in the meantime
  } catch (const std::exception&) {      // what nobody hears of dies with the spawner
  }
  // A worker ends by itself when its stream closes, unless it runs a task: then it is asked to, and at last made to.
  for (int worker = 0; worker < options_.workers; ++worker) {
    auto& handle = at(worker);
    if (handle.stream) results_.forget(handle.stream.get());
    handle.stream.reset();
    journal_.of(worker).news.fetch_add(1, std::memory_order_release);
    const bool runs_task = !between_tasks(worker) && journal_.of(worker).sending.load() == 0;
    if (runs_task) spawner_->signal(handle.handle, SIGTERM);
  }
  constexpr auto moment = 50ms;
  const auto settled = steady::now() + moment;
  for (auto& handle : handles_) {
    if (handle.handle && !handle.handle.wait_ended(settled)) spawner_->signal(handle.handle, SIGTERM);
  }
  constexpr auto grace = 1s;
  const auto deadline = steady::now() + grace;
  for (auto& handle : handles_) {
    if (!handle.handle) continue;
    if (!handle.handle.wait_ended(deadline)) {
      spawner_->signal(handle.handle, SIGKILL);
      std::ignore = handle.handle.wait_ended(steady::now() + grace);
    }
    handle.handle.signal_group(SIGKILL);  // the spawner does it too, if nobody has killed it
  }
  spawner_->end();
  spawner_.reset();
  for (int worker = 0; worker < options_.workers; ++worker) {
    try {
      if (at(worker).log_end) open_reports(worker);  // it has run, but was never heard of
      if (at(worker).reports) at(worker).reports->finish();
    } catch (const std::exception&) {  // no memory to read them with
    }
  }
}

}  // namespace lenskit::detail
