#include <lenskit/detail/engines/event_source.hpp>
#include <lenskit/detail/engines/processes.hpp>
#include <lenskit/detail/engines/worker_main.hpp>
#include <lenskit/detail/log/delivery.hpp>
#include <lenskit/detail/log/levels.hpp>
#include <lenskit/detail/os/barrier.hpp>
#include <lenskit/detail/os/channel.hpp>
#include <lenskit/detail/wire/reader.hpp>
#include <lenskit/detail/worker/crash_handler.hpp>
#include <lenskit/detail/worker/cut_results.hpp>
#include <lenskit/error.hpp>

#include <signal.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <exception>
#include <new>
#include <system_error>
#include <utility>

namespace lenskit::detail {
namespace {

using namespace std::chrono_literals;

void prepare_fork() noexcept {
  constexpr auto patience = 5ms;  // for whoever uses spdlog's registry
  refresh_levels(patience);
  prepare_crash_reports();
}

}  // namespace

processes_engine::processes_engine(std::shared_ptr<workplace> place, process_options options)
    : traits_{.workers = options.workers, .can_stop_tasks = true, .isolates = true, .attended = true},
      // Where tasks have a deadline, that is what ends a stopped worker.
      program_(std::make_unique<worker_main>(
          std::move(place), journal_,
          worker_main::options{!options.keeps_time, !has_barriers(), std::move(options.enter_worker)})),
      options_(std::move(options)),
      journal_(options_.workers),
      logs_(options_.workers),
      staff_((prepare_fork(), *program_), journal_, results_, logs_, options_.workers) {
  results_.watch(interrupt_.fd(), key_of(event_source::interrupt));
  all_.watch(results_.fd(), key_of(event_source::results));
  all_.watch(logs_.fd(), key_of(event_source::attendance));
}

processes_engine::~processes_engine() { shut_down(); }

// ---- sending, under the dispatcher's lock --------------------------------------------------------------------------

int processes_engine::room(int worker) const noexcept {
  const auto* slot = staff_.at(worker);
  if (stopping_ || slot == nullptr || slot->ending.is_placed() || slot->unreachable) return 0;
  return slot->link.room();
}

void processes_engine::send(std::span<order> orders) noexcept {
  for (auto& each : orders) {
    auto& slot = *staff_.at(each.worker);
    if (slot.levels_version != levels_version()) {  // workers filter by the parent's levels
      auto levels = known_levels();
      slot.levels_version = levels.version;
      if (levels.encoded) slot.link.push(std::move(levels.encoded));
    }
    slot.link.push(std::move(each.work), options_.keeps_time);
  }
  const auto now = steady::now();
  for (const auto& each : orders) {
    auto& slot = *staff_.at(each.worker);
    slot.harvest.note_given(now);
    if (slot.link.unflushed() && !slot.link.awaits_room()) flush(slot, each.worker);
  }
}

void processes_engine::flush(worker_slot& slot, int worker) noexcept {
  const bool waited = slot.link.awaits_room();
  const auto last = slot.link.flush();
  if (last.state == transfer::end::closed) {
    slot.unreachable = true;
    // It has closed its end, or is gone: reading will tell. Any other error would leave it waiting for ever.
    if (!peer_is_gone(last.error)) staff_.kill(slot);
    // Somebody has closed it, and probably all others: no signal reaches the worker, and nothing tells of its death.
    if (last.error == EBADF || last.error == ENOTSOCK) staff_.note_loss(last.error);
    return;
  }
  const bool waits = slot.link.awaits_room();
  if (waits == waited) return;
  const auto wanted = waits ? interest::read_and_write : interest::read;
  if (!results_.change(slot.link.fd(), key_of(event_source::stream, worker), wanted)) staff_.kill(slot);
}

std::optional<std::uint32_t> processes_engine::take_back(int worker, std::uint64_t chunk, std::uint32_t keep) noexcept {
  auto* slot = staff_.at(worker);
  return slot != nullptr ? slot->link.take_back(chunk, keep) : claim::most_tasks;
}

void processes_engine::end_worker(int worker, ending why) noexcept {
  auto* slot = staff_.at(worker);
  if (why == ending::unwanted) stopping_ = true;
  if (slot == nullptr) return;
  if (why == ending::stalled) staff_.suspect(worker);
  if (slot->ending.is_placed()) return;
  constexpr auto grace = 200ms;
  slot->ending.place(steady::now() + grace);
  staff_.signal(*slot, SIGTERM);
}

worker_view processes_engine::look(int worker, aspect at) const noexcept {
  worker_view view;
  const auto* slot = staff_.at(worker);
  switch (at) {
    case aspect::task: view.in_hand = task_of(worker); break;
    case aspect::progress: view.between_tasks = progress_of(worker); break;
    case aspect::place: {
      const auto number = journal_.of(worker).processor.load(std::memory_order_relaxed);
      if (number >= 0) view.processor = number;
      break;
    }
    case aspect::transfer: view.in_transfer = slot != nullptr && slot->link.in_transfer(); break;
  }
  return view;
}

std::optional<worker_view::task> processes_engine::task_of(int worker) const noexcept {
  const auto& block = journal_.of(worker);
  worker_view::task task;
  task.chunk = block.chunk.load(std::memory_order_acquire);
  const auto& finished = block.claim_in_hand().finished;
  task.position = finished.load(std::memory_order_acquire);
  const auto started = block.started.load(std::memory_order_acquire);
  // Results that are being sent, and output and records that wait for their reader, are no task's time (K2).
  const bool held_up =
      block.sending.load(std::memory_order_acquire) != 0 || block.held_up.load(std::memory_order_acquire) != 0;
  task.started_at = block.started_at.load(std::memory_order_acquire);  // behind it: the end of a wait moves the start
  const bool runs = !held_up && task.chunk != 0 && task.position != claim::not_begun && started > task.position &&
                    task.started_at != 0;
  // What was read belongs together if it has gone no further meanwhile.
  if (!runs || finished.load(std::memory_order_acquire) != task.position) return std::nullopt;
  return task;
}

std::optional<worker_view::activity> processes_engine::progress_of(int worker) const noexcept {
  const auto& block = journal_.of(worker);
  const auto* slot = staff_.at(worker);
  worker_view::activity seen;
  seen.chunk = block.chunk.load(std::memory_order_acquire);
  seen.started = block.started.load(std::memory_order_acquire);
  seen.finished = block.claim_in_hand().finished.load(std::memory_order_acquire);
  // Who sends the result of a task is not in it any more, whatever is finished: bytes move, or it has stopped.
  const bool sends = block.sending.load(std::memory_order_acquire) != 0;
  if (seen.chunk != 0 && seen.started > seen.finished && !sends) return std::nullopt;
  if (block.held_up.load(std::memory_order_acquire) != 0) return std::nullopt;  // it waits for who reads what it says
  seen.base = block.base.load(std::memory_order_acquire);
  if (slot == nullptr) return seen;
  seen.bytes_moved = slot->link.bytes_moved();
  if (!slot->running) seen.bytes_moved += staff_.starts();  // its turn will come
  return seen;
}

void processes_engine::shut_down() noexcept {
  stopping_ = true;
  staff_.end([this](int worker) { return !progress_of(worker) && journal_.of(worker).sending.load() == 0; });
  constexpr auto patience = 1s;
  log_delivery::finish(steady::now() + patience);
}

// ---- waiting, by the leader ----------------------------------------------------------------------------------------

void processes_engine::wake(std::chrono::nanoseconds delay) noexcept {
  if (delay > std::chrono::nanoseconds::zero()) {
    logs_.ring_in(delay);
    return;
  }
  interrupt_.raise();
  logs_.interrupt();
}

bool processes_engine::wait(manner how, steady::time_point until) {
  switch (how) {
    case manner::attend: logs_.attend(); return true;
    case manner::rest: interrupt_.wait_for(until - steady::now()); return false;
    case manner::watch: return watch(until);
    case manner::lead:
    case manner::stand_in: break;
  }
  if (auto warning = staff_.take_warning(); !warning.empty()) log_delivery::say(severity::warning, warning);
  refresh_levels_if_due();
  until = std::min({until, staff_.deadline(stopping_), next_harvest()});
  if (!events_.empty() || !deaths_.empty()) until = steady::time_point{};  // of a wait that found no memory for more
  staff_.hear_new_spawner();
  collect(until, how == manner::stand_in);
  harvest_silent();
  staff_.bury_the_dead(deaths_, [this](int worker) { hear_out(worker); });
  staff_.prepare_replacements(stopping_);
  return !events_.empty() || !deaths_.empty();
}

bool processes_engine::watch(steady::time_point until) const noexcept try {
  std::array<readiness, 1> any;
  do {
    if (!results_.wait(any, steady::time_point{}).empty()) return true;
  } while (steady::now() < until);
  return false;
} catch (const std::system_error&) {  // whoever waits in earnest is told
  return false;
}

// The poller tells each thing once: what there was no memory to deal with comes first the next time (A1).
void processes_engine::collect(steady::time_point until, bool attending) {
  if (!heard_.undone.empty()) until = steady::time_point{};
  if (attending && log_delivery::full()) {
    until = std::min<steady::time_point>(until, steady::now() + attendance::rest_while_full);
  } else if (attending) {
    bool logs = false;
    std::array<readiness, 2> room;
    for (const auto& ready : all_.wait(room, until)) logs |= kind_of(ready) == event_source::attendance;
    if (logs) logs_.drain(steady::time_point{});
    until = steady::time_point{};
  }
  if (heard_.undone.empty()) {
    const auto ready = results_.wait(heard_.ready, until);
    // The spawner first: what it says of a worker's start is needed to understand the worker.
    std::ranges::partition(ready, [](const auto& each) { return kind_of(each) == event_source::spawner; });
    heard_.undone = ready;
    heard_.at = steady::now();
  }
  for (; !heard_.undone.empty(); heard_.undone = heard_.undone.subspan(1)) hear(heard_.undone.front());
}

void processes_engine::hear(const readiness& ready) {
  switch (kind_of(ready)) {
    case event_source::stream: {
      auto* slot = staff_.at(worker_of(ready));
      if (slot == nullptr) break;
      if (ready.writable) slot->writable = true;
      if (ready.readable) receive_from(worker_of(ready));
      break;
    }
    case event_source::spawner: staff_.hear_spawner(); break;
    case event_source::process: staff_.notice_end(worker_of(ready)); break;
    case event_source::interrupt: interrupt_.clear(); break;
    default: break;
  }
}

void processes_engine::receive_from(int worker) {
  auto& slot = *staff_.at(worker);
  if (!slot.link.open() || !slot.link.hears() || !staff_.meet(worker)) return;
  // Then others get their turn, and the consumer: what is left to pile up here leaves the caches before it is looked
  // at.
  constexpr int bursts = 4;
  for (int burst = 0; burst < bursts; ++burst) {
    auto state = transfer::end::closed;
    try {
      state = slot.link.receive().state;
      if (!take_messages(slot, worker)) return;
    } catch (const serialization_error&) {  // it has lost its senses: nothing it says can be believed any more
      state = transfer::end::closed;
    }
    if (state == transfer::end::would_block) return;
    // What arrives from now on, an end of file too, makes the poller say so again.
    if (state == transfer::end::more && slot.link.drained()) return;
    if (state == transfer::end::closed) {
      results_.forget(slot.link.fd());
      slot.link.deafen();
      // A process closes its descriptors a moment before it has ended. One that lives on without them is of no use.
      constexpr auto moment = 5ms;
      if (!slot.handle || !slot.handle.wait_ended(steady::now() + moment)) staff_.kill(slot);
      return;
    }
  }
}

bool processes_engine::take_messages(worker_slot& slot, int worker) {
  for (;;) {
    if (spare_.empty()) spare_ = make_results_event();
    auto message = slot.link.next();
    if (!message) return true;
    if (message->type != static_cast<std::uint8_t>(message::results)) continue;
    auto& event = spare_.front();
    event.worker = worker;
    event.head = reader(message->payload.bytes()).get<results_head>("a results message");
    auto& part = event.part.front();
    if (message->missing != 0) try {
        fail_cut_results(*message);
      } catch (const std::bad_alloc&) {
        part.failure = std::current_exception();
      }
    part.count = event.head.count;
    part.payload = std::move(message->payload);
    part.runs_at = sizeof event.head;
    part.attached = std::move(message->attached);
    part.worker_pid = slot.pid;
    // What a task has logged is heard before its result.
    slot.reports->drain_until(event.head.reports);
    slot.received = {event.head.chunk, event.head.offset + event.head.count};
    events_.splice(events_.end(), spare_);
    slot.harvest.note_sent(heard_.at);
  }
}

// What a dead worker has still said.
void processes_engine::hear_out(int worker) {
  auto& slot = *staff_.at(worker);
  while (slot.link.hears()) {
    try {
      const auto result = slot.link.receive();
      std::ignore = take_messages(slot, worker);
      if (result.state != transfer::end::more) break;
    } catch (const serialization_error&) {
      break;
    }
  }
}

// ---- what a long task keeps back -----------------------------------------------------------------------------------

steady::time_point processes_engine::next_harvest() const noexcept {
  auto next = steady::time_point::max();
  for (int worker = 0; worker < staff_.size(); ++worker) {
    if (const auto* slot = staff_.at(worker)) next = std::min(next, slot->harvest.due_at());
  }
  return next;
}

void processes_engine::harvest_silent() {
  const auto now = heard_.at;
  for (int worker = 0; worker < staff_.size(); ++worker) {
    auto* slot = staff_.at(worker);
    if (slot == nullptr || now < slot->harvest.due_at()) continue;
    slot->harvest.look(now, [&] { return slot->link.unpassed() != 0; });
    if (!slot->reports) continue;  // it has not been met
    if (slot->harvest.wants_proof_of_life() && slot->handle.is_headless()) staff_.kill(*slot);
    const auto& block = journal_.of(worker);
    const auto chunk = block.chunk.load(std::memory_order_acquire);
    const chunk_position finished{chunk, block.claim_in_hand().finished.load(std::memory_order_acquire)};
    if (chunk == 0 || finished == slot->harvest.done()) continue;
    auto results = harvest(block, worker, slot->pid);
    // What it sent before them may still wait in the connection, and comes first.
    if (!results.empty() && results.front().head.offset > slot->received.in(results.front().head.chunk)) continue;
    slot->harvest.note_done(finished);
    if (results.empty()) continue;
    // What these tasks have logged is heard before their results.
    slot->reports->drain();
    log_delivery::wait_for_all();
    events_.splice(events_.end(), results);
  }
}

// ---- reporting and mending, under the dispatcher's lock ------------------------------------------------------------

void processes_engine::report(engine_listener& listener) noexcept {
  for (auto results = std::exchange(events_, {}); auto& each : results) {
    listener.on_results(each.worker, each.head, std::move(each.part));
  }
  for (auto deaths = std::exchange(deaths_, {}); auto& each : deaths) {
    const auto start_error = each.death.start_error;
    staff_.dismiss(each.worker, start_error);
    listener.on_death(each.worker, std::move(each.death));
  }
  for (int worker = 0; worker < staff_.size(); ++worker) {
    auto* slot = staff_.at(worker);
    if (slot == nullptr) continue;
    if (std::exchange(slot->writable, false)) flush(*slot, worker);
    if (slot->ending.take_kill(steady::now())) staff_.signal(*slot, SIGKILL);
  }
  if (!stopping_) staff_.replace(listener);
}

}  // namespace lenskit::detail
