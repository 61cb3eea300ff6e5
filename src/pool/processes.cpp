#include <lenskit/detail/log/worker_logging.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/pool/call.hpp>
#include <lenskit/detail/pool/child.hpp>
#include <lenskit/detail/pool/processes.hpp>
#include <lenskit/detail/pool/worker_loop.hpp>
#include <lenskit/detail/wire/reader.hpp>

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
// How long the spawner may take to report a death that the parent has already seen.
constexpr auto spawner_patience = 1s;

// What a ready descriptor is: its kind above, its worker below.
enum class source : std::uint32_t { stream, process, log, spawner, interrupt, bell, results, attendance };

constexpr std::uint64_t key_of(source kind, int worker = 0) {
  return std::uint64_t{static_cast<std::uint32_t>(kind)} << 32 | static_cast<std::uint32_t>(worker);
}
source kind_of(const readiness& ready) { return static_cast<source>(ready.key >> 32); }
int worker_of(const readiness& ready) { return static_cast<int>(ready.key & 0xffff'ffff); }

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
  std::vector<worker_ends> seats;
  for (int worker = 0; worker < options_.workers; ++worker) seats.push_back(connect(worker));
  std::vector<process> started;
  spawner_ = std::make_unique<spawner>(static_cast<worker_program&>(*this), seats, started);
  results_.watch(spawner_->fd(), key_of(source::spawner));
  for (int worker = 0; worker < options_.workers; ++worker) {
    greet(worker, std::move(started[static_cast<std::size_t>(worker)]));
  }
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
  handle.incoming.emplace();
  handle.outgoing.clear();
  handle.awaiting_room = handle.end_requested = handle.killed = handle.lost = false;
  handle.sequence = 0;
  handle.levels_version = 0;
  handle.kill_at = steady::time_point::max();
  handle.ended_at = {};
  handle.status.reset();
  handle.pid = -1;
  handle.state = worker_state::starting;
  return {std::move(stream.second), std::move(log.second)};
}

// Takes up a worker that runs.
void processes_engine::greet(int worker, process started) {
  auto& handle = at(worker);
  handle.handle = std::move(started);
  handle.pid = handle.handle.pid();
  handle.failed_starts = 0;
  handle.state = worker_state::running;
  auto reports = std::make_shared<report_reader>(std::exchange(handle.log_end, descriptor()), handle.pid, worker);
  {
    const std::lock_guard held(reports_mutex_);
    handle.reports = reports;
  }
  try {
    attendance_.watch(reports->fd(), key_of(source::log, worker));
    results_.watch(handle.handle.pidfd(), key_of(source::process, worker));
  } catch (const std::exception&) {  // a worker that cannot be watched is replaced; the spawner reports its end
    handle.lost = true;
    handle.handle.signal(SIGKILL);
  }
}

// ---- in the worker -------------------------------------------------------------------------------------------------

void processes_engine::prepare() noexcept {}

void processes_engine::run(int slot, worker_ends ends) noexcept {
  journal_.keep_only(slot);
  start_worker_logging(ends.log.release());
  if (options_.enter_worker) options_.enter_worker(slot);
  serve_tasks(std::move(ends.stream), *place_, journal_.of(slot));
  leave_child(0);
}

// ---- sending, under the dispatcher's lock --------------------------------------------------------------------------

bool processes_engine::usable(int worker) const noexcept {
  const auto& handle = handles_[static_cast<std::size_t>(worker)];
  return !stopping_ && handle.state != worker_state::vacant && !handle.end_requested && !handle.killed;
}

void processes_engine::send(int worker, std::shared_ptr<chunk> work) noexcept {
  push_levels(worker, *work->call);
  push(worker, outgoing_message(at(worker).sequence++, std::move(work), options_.keeps_time));
}

void processes_engine::recall(int worker, std::uint64_t chunk) noexcept {
  if (at(worker).state == worker_state::vacant) return;
  push(worker, outgoing_message(at(worker).sequence++, chunk));
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
  if (at(worker).outgoing.size() == 1) flush(worker);
}

void processes_engine::flush(int worker) noexcept {
  auto& handle = at(worker);
  auto end = transfer::end::more;
  while (!handle.outgoing.empty() && end == transfer::end::more) {
    end = handle.outgoing.front().send(handle.stream.get());
    if (end == transfer::end::more) handle.outgoing.pop_front();
  }
  if (end == transfer::end::closed) {
    abandon_worker(handle);
    return;
  }
  const bool waits = !handle.outgoing.empty();
  if (waits == handle.awaiting_room) return;
  handle.awaiting_room = waits;
  const auto wanted = waits ? interest::read_and_write : interest::read;
  if (!results_.change(handle.stream.get(), key_of(source::stream, worker), wanted)) abandon_worker(handle);
}

// Nothing more can be told to this worker: it is dead, or as good as dead. Its death gives its work to others.
void processes_engine::abandon_worker(worker_handle& worker) noexcept {
  worker.outgoing.clear();
  worker.killed = true;
  worker.handle.signal(SIGKILL);
}

void processes_engine::end_worker(int worker) noexcept {
  auto& handle = at(worker);
  if (handle.end_requested) return;
  constexpr auto grace = 200ms;
  handle.end_requested = true;
  handle.kill_at = steady::now() + grace;
  handle.handle.signal(SIGTERM);
}

void processes_engine::kill_overdue() noexcept {
  for (auto& handle : handles_) {
    if (steady::now() < handle.kill_at) continue;
    handle.kill_at = steady::time_point::max();
    handle.handle.signal(SIGKILL);
  }
}

std::optional<worker_engine::task_in_hand> processes_engine::in_hand(int worker) const noexcept {
  auto& block = const_cast<journal&>(journal_).of(worker);
  task_in_hand task;
  task.chunk = block.chunk.load(std::memory_order_acquire);
  const auto started = block.started.load(std::memory_order_acquire);
  const auto finished = block.finished.load(std::memory_order_acquire);
  task.started_at = block.started_at.load(std::memory_order_acquire);
  if (task.chunk == 0 || started != finished + 1 || task.started_at == 0) return std::nullopt;
  task.position = finished;
  return task;
}

void processes_engine::interrupt() noexcept {
  interrupt_.raise();
  attend_interrupt_.raise();
}

void processes_engine::ring_in(std::chrono::nanoseconds delay) noexcept { bell_.ring_in(delay); }

// ---- collecting, by the leader -------------------------------------------------------------------------------------

steady::time_point processes_engine::own_deadline() const {
  auto deadline = steady::time_point::max();
  for (const auto& handle : handles_) {
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
        ++at(news->slot).failed_starts;
        at(news->slot).status = exit_status{};
        break;
      case spawner_event::kind::gone:
        spawner_gone_ = true;
        results_.forget(spawner_->fd());
        return;
    }
  }
}

void processes_engine::receive_from(int worker) {
  auto& handle = at(worker);
  if (!handle.stream || !handle.incoming) return;
  constexpr int bursts = 64;  // then others get their turn
  for (int burst = 0; burst < bursts; ++burst) {
    transfer result;
    try {
      result = handle.incoming->receive(handle.stream.get(), blocking::dont_wait);
      while (auto message = handle.incoming->next()) take_message(worker, std::move(*message));
    } catch (const serialization_error&) {  // it has lost its senses: nothing it says can be believed any more
      result.state = transfer::end::closed;
    }
    if (result.state == transfer::end::would_block) return;
    if (result.state == transfer::end::closed) {
      // It is dying, or it has closed its end and lives on; either way it is of no more use.
      results_.forget(handle.stream.get());
      handle.incoming.reset();
      handle.lost = true;
      handle.handle.signal(SIGKILL);
      return;
    }
  }
}

void processes_engine::take_message(int worker, frame message) {
  if (message.type != static_cast<std::uint8_t>(message::results)) return;
  const auto head = reader(message.payload.bytes()).get<results_head>("a results message");
  // What a task has logged is heard before its result.
  if (at(worker).reports) at(worker).reports->drain_until(head.reports);
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
  for (int worker = 0; worker < options_.workers; ++worker) {
    auto& handle = at(worker);
    if (handle.state == worker_state::vacant) continue;
    if (spawner_gone_ && !handle.status) {
      handle.handle.signal(SIGKILL);
      if (handle.handle) std::ignore = handle.handle.wait_ended(steady::now() + spawner_patience);
      handle.status = exit_status{};
    }
    if (handle.status) bury(worker);
  }
}

// Hears a dead worker out, and reports its death.
void processes_engine::bury(int worker) {
  auto& handle = at(worker);
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
  if (handle.reports) {
    attendance_.forget(handle.reports->fd());
    handle.reports->finish();
    death.report.log_tail = handle.reports->last_lines();
  }
  death.report.signal = handle.status->signal;
  death.report.exit_code = handle.status->exit_code;
  death.report.core_dumped = handle.status->core_dumped;
  death.report.peak_memory = handle.status->peak_memory;
  death.ended_by_pool = handle.end_requested;
  death.report.probably_out_of_memory =
      handle.status->signal == SIGKILL && !handle.end_requested && !handle.killed && !handle.lost && !spawner_gone_;
  death.will = read_last_will(journal_.of(worker));
  handle.status.reset();
  handle.ended_at = {};
  events_.push_back(std::move(end));
}

// Waits for logs and passes them on. True if the bell rang or somebody interrupted.
bool processes_engine::drain_logs(steady::time_point deadline) {
  std::array<readiness, 64> room;
  bool called = false;
  for (const auto& ready : attendance_.wait(room, deadline)) {
    switch (kind_of(ready)) {
      case source::log: {
        std::unique_lock held(reports_mutex_);
        const auto reports = at(worker_of(ready)).reports;
        held.unlock();
        if (reports && reports->drain() == 0 && ready.hung_up) attendance_.forget(reports->fd());
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
  while (!drain_logs(steady::time_point::max())) {}
}

// ---- reporting and mending, under the dispatcher's lock ------------------------------------------------------------

void processes_engine::report(engine_listener& listener) {
  for (auto& each : std::exchange(events_, {})) {
    if (each.message) {
      listener.on_results(each.worker, at(each.worker).pid, std::move(*each.message));
      continue;
    }
    auto& handle = at(each.worker);
    handle.state = worker_state::vacant;
    handle.stream.reset();
    handle.handle = process();
    constexpr auto first_pause = 20ms;
    constexpr int most_doublings = 6;
    const auto pause = first_pause * (1 << std::min(handle.failed_starts, most_doublings));
    handle.retry_at = handle.failed_starts == 0 ? steady::time_point{} : steady::now() + pause;
    listener.on_death(each.worker, std::move(each.death));
  }
  for (const int worker : std::exchange(with_room_, {})) {
    if (at(worker).stream) flush(worker);
  }
  kill_overdue();
  if (stopping_) return;
  if (spawner_gone_) replace_spawner();
  for (int worker = 0; worker < options_.workers && broken_.empty(); ++worker) {
    if (at(worker).state == worker_state::vacant && steady::now() >= at(worker).retry_at) replace(worker);
  }
  if (!broken_.empty()) listener.on_broken(std::exchange(broken_, {}));
}

void processes_engine::replace(int worker) {
  constexpr int most_failures = 12;
  auto& handle = at(worker);
  journal_.reset(worker);
  try {
    const auto ends = connect(worker);
    spawner_gone_ = !spawner_->spawn(worker, ends);
    return;
  } catch (const std::exception& error) {
    handle.stream.reset();
    handle.state = worker_state::vacant;
    handle.retry_at = steady::now() + 50ms;
    if (++handle.failed_starts < most_failures) return;
    const bool others = std::any_of(handles_.begin(), handles_.end(),
                                    [](const auto& each) { return each.state != worker_state::vacant; });
    if (!others) broken_ = fmt::format("cannot replace a worker: {}", error.what());
  }
}

// The spawner was killed, and every worker with it. Another is forked; it sees the model as it is now.
void processes_engine::replace_spawner() {
  spawner_gone_ = false;
  results_.forget(spawner_->fd());
  spawner_->end();
  try {
    std::vector<worker_ends> seats;
    for (int worker = 0; worker < options_.workers; ++worker) {
      journal_.reset(worker);
      seats.push_back(connect(worker));
    }
    std::vector<process> started;
    spawner_ = std::make_unique<spawner>(static_cast<worker_program&>(*this), seats, started);
    results_.watch(spawner_->fd(), key_of(source::spawner));
    for (int worker = 0; worker < options_.workers; ++worker) {
      greet(worker, std::move(started[static_cast<std::size_t>(worker)]));
    }
  } catch (const std::exception& error) {
    broken_ = fmt::format("cannot replace the spawner of the workers: {}", error.what());
  }
}

void processes_engine::stop_working() noexcept {
  stopping_ = true;
  for (int worker = 0; worker < options_.workers; ++worker) {
    if (at(worker).state == worker_state::running || at(worker).handle) at(worker).handle.signal(SIGTERM);
  }
}

void processes_engine::shut_down() noexcept {
  if (!spawner_) return;
  stopping_ = true;
  // An idle worker ends by itself when its stream closes; a busy one is asked to, then made to.
  for (int worker = 0; worker < options_.workers; ++worker) {
    auto& handle = at(worker);
    if (handle.stream) results_.forget(handle.stream.get());
    handle.stream.reset();
    if (handle.handle && journal_.of(worker).chunk.load() != 0) handle.handle.signal(SIGTERM);
  }
  constexpr auto grace = 1s;
  const auto deadline = steady::now() + grace;
  for (auto& handle : handles_) {
    if (!handle.handle) continue;
    if (!handle.handle.wait_ended(deadline)) {
      handle.handle.signal(SIGKILL);
      std::ignore = handle.handle.wait_ended(steady::now() + grace);
    }
    if (handle.reports) handle.reports->finish();
  }
  spawner_->end();
  spawner_.reset();
}

}  // namespace lenskit::detail
