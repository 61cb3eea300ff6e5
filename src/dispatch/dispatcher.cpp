#include <lenskit/detail/dispatch/dispatcher.hpp>
#include <lenskit/detail/log/delivery.hpp>
#include <lenskit/detail/log/levels.hpp>
#include <lenskit/detail/os/cancel_shield.hpp>
#include <lenskit/detail/os/crew.hpp>
#include <lenskit/detail/os/errors.hpp>
#include <lenskit/detail/os/system.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

namespace lenskit::detail {
namespace {

// To count the processors takes a file: once is enough.
dispatch_options with_processors(dispatch_options options) {
  if (options.processors == 0) options.processors = usable_processors();
  return options;
}

}  // namespace

dispatcher::dispatcher(std::unique_ptr<worker_engine> engine, dispatch_options options)
    : engine_(std::move(engine)),
      options_(with_processors(std::move(options))),
      now_(options_.now != nullptr ? options_.now : [] { return steady::now(); }),
      owner_(sys::getpid()),
      at_once_(std::min(options_.processors, static_cast<std::size_t>(workers()))),
      lead_(*this, *engine_, mutex_, now_),
      roster_(*engine_, at_once_),
      blame_(workers(), options_.max_retries, options_.task_timeout),
      overdue_(roster_.workers(), options_.task_timeout) {
  leader_.spares.reserve(at_once_);
  if (options_.stop_token.stop_possible()) on_stop_.emplace(options_.stop_token, on_stop{engine_.get()});
  try {
    if (engine_->traits().attended) lead_.start_attendant();
  } catch (const std::system_error& error) {  // better without it than without workers
    log_delivery::say(severity::warning,
                      "workers are looked after only while somebody waits: " + error_text(error.code().value()));
  }
}

dispatcher::~dispatcher() {
  if (own_process()) {
    shut_down();
    for (const auto& call : calls_) call->out.abandon();  // chunks and their call hold each other
    return;
  }
  // A fork of user code ends with a copy of the parent's pool: its thread and its workers are not ours to end.
  lead_.forget_attendant();
  std::ignore = engine_.release();
}

bool dispatcher::own_process() const noexcept { return sys::getpid() == owner_; }

void dispatcher::check_caller() const {
  if (!own_process()) {
    throw invoker_closed(fmt::format("an invoker of process {} cannot be used in process {}", owner_, sys::getpid()));
  }
  if (serves_here(*engine_)) throw invoker_closed("an invoker cannot be used by a task that it runs");
}

// ---- calls ---------------------------------------------------------------------------------------------------------

std::shared_ptr<call_state> dispatcher::open(call_plan plan) {
  check_caller();
  // What workers filter their logs by; those of this process see it themselves.
  if (engine_->traits().isolates) refresh_levels(pace::levels_patience);
  call_list joining;
  joining.push_back(std::make_shared<call_state>(std::move(plan), at_once_));
  const lock held(mutex_);
  if (state_.closed) throw invoker_closed("invoker was shut down");
  if (state_.broken) std::rethrow_exception(state_.broken);
  auto call = joining.front();
  calls_.splice(calls_.end(), joining);
  return call;
}

bool dispatcher::submit(std::shared_ptr<chunk> work, feeder then) noexcept {
  const lock held(mutex_);
  if (state_.closed) return false;
  auto& out = work->call->out;
  out.add(work);
  if (state_.broken || state_.stopped) {
    out.fail(work, state_.broken);
    return true;
  }
  roster_.enqueue(std::move(work));
  feed_workers(now_());
  if (then == feeder::goes_on) lead_.work_added();
  return true;
}

void dispatcher::submit_failed(std::shared_ptr<chunk> work, const std::exception_ptr& failure) noexcept {
  const lock held(mutex_);
  auto& out = work->call->out;
  out.add(work);
  out.fail(work, failure);
}

bool dispatcher::take(call_state& call, outcome_list& taken, bool can_feed) {
  lock held(mutex_);
  const bool feeds = can_feed && engine_->traits().deals_ahead;
  lead_.await(held, [&] {
    if (call.out.has_outcomes() || call.out.empty() || state_.closed) return true;
    return feeds && hungry(call) && !window_full(call);
  });
  lead_.work_added();  // it may have found what it wanted without leading
  call.out.take(taken);
  if (taken.empty() && !call.out.empty() && state_.closed)
    throw invoker_closed("invoker was shut down before all results had come");
  return !taken.empty() || !call.out.empty();
}

bool dispatcher::hungry(const call_state& call) const noexcept {
  const bool queues_up = engine_->traits().deals_ahead && call.waiting < pace::queued_at_least * roster_.workers();
  return queues_up || (roster_.backlog_empty() && roster_.has_room());
}

bool dispatcher::window_full(const call_state& call) const noexcept {
  return call.out.size() >= pace::window_chunks * roster_.workers() || call.out.held_bytes() >= pace::window_bytes;
}

feeding_advice dispatcher::advise(const call_state& call) {
  const lock held(mutex_);
  feeding_advice advice;
  advice.chunk_tasks = call.pace.chunk_tasks(engine_->traits().longest_chunk);
  advice.hungry = hungry(call);
  advice.window_full = window_full(call);
  advice.finished = state_.closed || state_.stopped || state_.broken || options_.stop_token.stop_requested();
  return advice;
}

void dispatcher::abandon(const std::shared_ptr<call_state>& call) noexcept {
  if (!own_process()) return;
  call_list leaving;
  const lock held(mutex_);
  call->abandoned = true;
  roster_.drop_waiting(*call);
  for (int worker = 0; worker < workers(); ++worker) take_all_back(worker, call.get());
  call->out.abandon();
  const auto found = std::find(calls_.begin(), calls_.end(), call);
  if (found != calls_.end()) leaving.splice(leaving.end(), calls_, found);
  // There may be nothing left whose result would wake anybody to do so.
  if (!roster_.backlog_empty()) feed_workers(now_());
  lead_.work_added();
}

void dispatcher::throw_if_finished() {
  const lock held(mutex_);
  if (state_.broken) std::rethrow_exception(state_.broken);
  if (state_.closed) throw invoker_closed("invoker was shut down");
}

task_counts dispatcher::counts(const call_state& call) {
  const lock held(mutex_);
  return {call.out.submitted(), std::max(call.started, call.out.settled()), call.out.settled()};
}

void dispatcher::shut_down() noexcept {
  if (!own_process()) return;
  const cancel_shield shield;
  lock held(mutex_);
  state_.closed = true;
  // A task cannot wait for its own end: the destructor, or another call from outside, ends the workers.
  if (state_.ended || serves_here(*engine_)) return;
  state_.ended = true;
  lead_.take_for_good(held);
  held.unlock();
  on_stop_.reset();
  engine_->wake({});
  lead_.end_attendant();
  engine_->shut_down();
  held.lock();
  roster_.clear();
  lead_.release();
}

// ---- leading -------------------------------------------------------------------------------------------------------

void dispatcher::lead(lock& held, bool attending) {
  wait_for_news(held, attending);
  engine_->report(*this);
  stop_if_requested();  // before more is given out
  enforce_deadlines();
  end_stalled();
  feed_workers(leader_.looked_at);
  rebalance();
}

void dispatcher::wait_for_news(lock& held, bool attending) {
  const auto begun = now_();
  if (roster_.outstanding() > 0)
    overdue_.note_absence(lead_.left_at(), after(lead_.left_at(), pace::attendant_patience), begun);
  auto until = steady::time_point::max();
  if (roster_.outstanding() > 0) until = std::min(overdue_.next_look(*engine_, begun), roster_.look_again_at());
  const auto rest = attending ? std::chrono::nanoseconds::zero()
                              : std::min<std::chrono::nanoseconds>(roster_.time_to_rest(), until - begun);
  const bool rests = rest >= pace::shortest_rest;
  const bool watches = !attending && may_watch() && leader_.watches.next();
  if (rests) lead_.put_off_bell(rest + pace::attendant_patience);
  held.unlock();
  while (leader_.spares.size() < at_once_) leader_.spares.push_back(make_chunk());
  if (rests) std::ignore = engine_->wait(manner::rest, begun + rest);
  if (watches) leader_.watches.ended(engine_->wait(manner::watch, now_() + vigil::longest));
  std::string lost;
  try {
    std::ignore = engine_->wait(attending ? manner::stand_in : manner::lead, until);
  } catch (const std::system_error& error) {  // without its descriptors it will never hear of a worker again (H4)
    lost = error.what();
  }
  held.lock();
  if (!lost.empty()) break_pool(blame_.verdict(lost));
  leader_.looked_at = now_();
  overdue_.note_absence(begun, std::max(until, begun), leader_.looked_at);
}

// Whether all that is waited for is one short chunk, or one not known yet, of a worker on another processor.
bool dispatcher::may_watch() const noexcept {
  const int busy = options_.processors > 1 ? roster_.only_busy() : -1;
  if (busy < 0 || roster_.of(busy).queued_ns() > static_cast<double>(vigil::longest.count())) return false;
  const auto its_processor = engine_->look(busy, aspect::place).processor;
  return its_processor && its_processor != sys::processor();
}

// What the late worker has not begun is taken from it first: then nothing can start between the look and the end, and
// the look that follows is the truth (K1).
void dispatcher::enforce_deadlines() noexcept {
  if (!options_.task_timeout) return;
  for (int worker = 0; worker < workers(); ++worker) {
    const auto late = overdue_.late_task(*engine_, worker, now_());
    if (!late || !roster_.of(worker).find(late->chunk)) continue;
    take_all_back(worker, nullptr);
    if (engine_->look(worker, aspect::task).in_hand != late) continue;
    overdue_.note_late(worker, *late);
    engine_->end_worker(worker, ending::late);
  }
}

void dispatcher::end_stalled() noexcept {
  if (!overdue_.stall_look_due(leader_.looked_at)) return;
  for (int worker = 0; worker < workers(); ++worker) {
    if (!overdue_.stalled(*engine_, worker, !roster_.of(worker).empty())) continue;
    take_all_back(worker, nullptr);
    if (!engine_->look(worker, aspect::progress).between_tasks) continue;  // it has begun a task meanwhile (K1)
    engine_->end_worker(worker, ending::stalled);
  }
}

// ---- giving out work -----------------------------------------------------------------------------------------------

void dispatcher::feed_workers(steady::time_point when) noexcept {
  if (state_.closed || roster_.backlog_empty()) return;
  for (auto orders = roster_.deal(when); !orders.empty(); orders = roster_.deal(when)) engine_->send(orders);
}

// When a worker has nothing to do and nothing waits, it takes over from the one that has most, or that is held up.
void dispatcher::rebalance() noexcept {
  const auto when = leader_.looked_at;
  while (!state_.closed && !state_.stopped && !leader_.spares.empty()) {
    const auto plan = roster_.next_transfer(when);
    if (!plan) return;
    auto& from = roster_.of(plan->from);
    const auto before = from.waiting_tasks();
    if (plan->work) {
      take_back(plan->from, *plan->work, plan->keep);
    } else {
      take_all_back(plan->from, nullptr);
    }
    if (from.waiting_tasks() >= before || from.empty()) from.spared_until = when + pace::behind_patience;
    feed_workers(when);
  }
}

// Of one call, or of all. From the back to the front: what is given on leaves the lane, for the front of the backlog.
void dispatcher::take_all_back(int worker, const call_state* of) noexcept {
  for (auto* each = roster_.of(worker).back(); each != nullptr;) {
    auto* const before = each->queued.previous;
    if ((of == nullptr || each->call.get() == of) && !each->returned()) take_back(worker, *each, 0);
    each = before;
  }
}

void dispatcher::take_back(int worker, chunk& work, std::uint32_t keep) noexcept {
  const auto position = engine_->take_back(worker, work.name, keep);
  if (position) on_taken_back(worker, work.name, *position);
}

// Tasks from `position` on, counted from where the worker's part of the chunk begins, will never begin there.
void dispatcher::on_taken_back(int worker, std::uint64_t name, std::uint32_t position) noexcept {
  auto& in = roster_.of(worker);
  const auto work = in.find(name);
  if (!work) return;
  const auto limit = std::max(work->base + position, work->settled);
  if (limit >= work->limit) return;
  in.note_gone(work->limit - limit);
  work->limit = limit;
  // Others can have what comes behind at once, if there is a chunk for it; else once the worker is done with its part.
  if (limit > work->settled && is_wanted(*work->call) && !leader_.spares.empty()) {
    auto rest = std::move(leader_.spares.back());
    leader_.spares.pop_back();
    work->call->started -= work->count - limit;
    work->call->out.split(*work, limit, rest);
    roster_.enqueue_first(std::move(rest));
  }
  if (work->returned()) give_on(worker, *work);
}

// A worker has done its part of a chunk; what is left of it is for others.
void dispatcher::give_on(int worker, chunk& work) noexcept {
  auto rest = roster_.take_from(worker, work);
  if (rest->done() || rest->call->abandoned) return;
  rest->call->started -= rest->unsettled();
  roster_.enqueue_first(std::move(rest));
}

// ---- what comes back -----------------------------------------------------------------------------------------------

void dispatcher::on_results(int worker, const results_head& head, outcome_list part) noexcept {
  auto& in = roster_.of(worker);
  const auto work = in.find(head.chunk);
  if (!work) return;
  const auto known = work->settled - work->base;
  const auto given = work->limit - work->base;
  // Fetched while what comes before it is still on its way: it will be told again.
  if (head.elapsed_ns < 0 && head.offset > known) return;
  if (head.offset > known || head.count > given || head.offset > given - head.count) {
    take_all_back(worker, nullptr);
    engine_->end_worker(worker, ending::senses);  // it does not know what it says: what it has is given to others
    return;
  }
  in.progressed_at = leader_.looked_at;
  if (head.offset + head.count <= known) return;
  auto& added = part.front();
  added.skip = known - head.offset;
  added.count = head.count - added.skip;
  if (head.elapsed_ns >= 0) work->call->pace.learn(head.count, head.elapsed_ns, added.runs().size());
  blame_.note_success();
  work->deaths = 0;
  in.note_gone(added.count);
  work->call->out.settle(work, std::move(part));
  if (work->returned()) give_on(worker, *work);
}

void dispatcher::on_death(int worker, worker_death death) noexcept {
  auto& in = roster_.of(worker);
  // Backwards, because what is left of each goes to the front of the backlog.
  while (auto* work = in.back()) {
    if (work->name == death.will.chunk) {
      const bool late = overdue_.was_late(worker, death.will.chunk, death.will.finished);
      const auto held = in.find(work->name);
      const auto before = held->settled;
      blame_.settle(held, death, late);
      in.note_gone(held->settled - before);
    }
    give_on(worker, *work);
  }
  blame_.count(death, overdue_.was_late(worker));
  overdue_.reset(worker);
  if (blame_.hopeless() && !state_.closed) break_pool(blame_.verdict());
}

// A killed spawner says nothing about the tasks, but a task that always kills it must not be run for ever.
void dispatcher::on_spawner_lost() noexcept {
  blame_.count_lost_spawner();
  if (blame_.hopeless() && !state_.closed) break_pool(blame_.verdict());
}

void dispatcher::on_broken(std::string why) noexcept { break_pool(blame_.verdict(why)); }

void dispatcher::break_pool(std::exception_ptr why) noexcept {
  if (state_.broken) return;
  state_.broken = std::move(why);
  fail_everything(state_.broken);
}

void dispatcher::stop_if_requested() noexcept {
  if (state_.stopped || !options_.stop_token.stop_requested()) return;
  state_.stopped = true;
  fail_everything(nullptr);
}

// Gives every task that has no outcome `failure`, or task_cancelled where that is null. What has not begun never will,
// also where a worker cannot be ended (K3).
void dispatcher::fail_everything(const std::exception_ptr& failure) noexcept {
  for (int worker = 0; worker < workers(); ++worker) take_all_back(worker, nullptr);
  roster_.clear();
  for (const auto& call : calls_) {
    call->waiting = 0;
    for (const auto& work : call->out) call->out.fail(work, failure);
  }
  for (int worker = 0; worker < workers(); ++worker) engine_->end_worker(worker, ending::unwanted);
  lead_.notify_all();
}

}  // namespace lenskit::detail
