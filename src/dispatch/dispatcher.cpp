#include <lenskit/detail/dispatch/dispatcher.hpp>
#include <lenskit/detail/os/crew.hpp>
#include <lenskit/detail/os/system.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

namespace lenskit::detail {
namespace {

using namespace std::chrono_literals;

// The attendant stands in when no consumer has led for this long. It wakes at this rate while work is outstanding.
constexpr auto attendant_patience = 2ms;
constexpr double longest_chunk_tasks = 1 << 20;
constexpr double chunk_result_bytes = 1 << 20;
// What a call may hold if its consumer sets no limit: enough for uneven tasks to even out behind a slow one.
constexpr std::size_t window_chunks = 64;  // for each worker
constexpr std::size_t window_bytes = std::size_t{64} << 20;
// A worker that has work, runs no task and does not get on in this time has stalled: the library's own code takes
// microseconds. Two looks, so that a parent that was itself stopped for a while blames nobody.
constexpr steady::duration least_stall_patience = 1s;
constexpr steady::duration most_stall_patience = 10s;
constexpr int looks_to_stall = 2;
// A rest that is shorter spares too few wake-ups, a longer one would be felt.
constexpr auto shortest_rest = 100us;
constexpr double results_worth_a_rest = 1.5;   // at least, or it spares nothing
constexpr double connection_bytes = 64 << 10;  // of results that surely fit into a worker's connection

}  // namespace

dispatcher::dispatcher(std::unique_ptr<worker_engine> engine, dispatch_options options)
    : engine_(std::move(engine)),
      options_(std::move(options)),
      owner_(sys::getpid()),
      processors_(usable_processors()),
      at_once_(std::min(processors_, static_cast<std::size_t>(engine_->workers()))),
      lanes_(static_cast<std::size_t>(engine_->workers())) {
  if (engine_->attended()) attendant_ = std::thread([this] { attend_while_open(); });
  if (options_.stop_token.stop_possible()) on_stop_.emplace(options_.stop_token, on_stop{engine_.get()});
}

dispatcher::~dispatcher() {
  if (own_process()) {
    shut_down();
    return;
  }
  // A fork of user code ends with a copy of the parent's pool: its thread and its workers are not ours to end.
  if (attendant_.joinable()) attendant_.detach();
  std::ignore = engine_.release();
}

bool dispatcher::own_process() const noexcept { return sys::getpid() == owner_; }

void dispatcher::check_caller() const {
  if (!own_process()) {
    throw invoker_closed(fmt::format("an invoker of process {} cannot be used in process {}", owner_, sys::getpid()));
  }
  if (engine_->runs_here()) throw invoker_closed("an invoker cannot be used by a task that it runs");
}

std::shared_ptr<call_state> dispatcher::open(call_plan plan) {
  check_caller();
  auto call = std::make_shared<call_state>(std::move(plan), at_once_);
  engine_->before_call();
  const lock held(mutex_);
  if (closed_) throw invoker_closed("invoker was shut down");
  if (broken_) std::rethrow_exception(broken_);
  std::erase_if(calls_, [](const auto& each) { return each.expired(); });
  calls_.push_back(call);
  return call;
}

bool dispatcher::submit(const std::shared_ptr<call_state>& call, std::uint64_t first_index, std::uint32_t count,
                        std::shared_ptr<const encoded_arguments> arguments) {
  auto work = std::make_shared<chunk>();
  work->call = call;
  work->first_index = first_index;
  work->count = count;
  work->argument_bytes = {arguments->block.data.get(), arguments->block.size};
  work->arguments = std::move(arguments);
  const lock held(mutex_);
  if (closed_) return false;
  work->id = next_chunk_++;
  call->window.emplace(first_index, work);
  call->held_bytes += work->argument_bytes.size();
  call->submitted += count;
  ++call->waiting;
  backlog_.push_back(std::move(work));
  if (broken_) fail_everything(broken_);
  if (stopped_) fail_everything(nullptr);
  feed_workers();
  return true;
}

void dispatcher::submit_failed(const std::shared_ptr<call_state>& call, std::uint64_t index,
                               std::exception_ptr failure) {
  auto work = std::make_shared<chunk>();
  work->call = call;
  work->first_index = index;
  work->count = 1;
  const lock held(mutex_);
  work->id = next_chunk_++;
  call->window.emplace(index, work);
  ++call->submitted;
  outcome_part part;
  part.failure = std::move(failure);
  part.count = 1;
  add_part(*work, std::move(part));
  if (call->plan.order == result_order::of_completion) call->ready.push_back(work);
}

// The outcomes of `call` that can be consumed: all that are ready at the front, in the order of the input, or all.
bool dispatcher::take(call_state& call, std::vector<outcome_part>& taken) {
  lock held(mutex_);
  await(held, [&] { return call.has_outcomes() || call.window.empty() || closed_; });
  const auto take_from = [&](chunk& from) {
    for (auto& part : from.parts) {
      call.held_bytes -= std::min(call.held_bytes, part.payload.size());
      taken.push_back(std::move(part));
    }
    from.parts.clear();
    if (!from.done()) return false;
    forget(from);
    return true;
  };
  if (call.plan.order == result_order::of_completion) {
    for (const auto& from : call.ready) take_from(*from);
    call.ready.clear();
  } else {
    while (call.has_outcomes()) {
      const auto from = call.window.begin()->second;
      if (!take_from(*from)) break;
    }
  }
  if (taken.empty() && !call.window.empty()) throw invoker_closed("invoker was shut down before all results had come");
  return !taken.empty();
}

feeding_advice dispatcher::advise(const call_state& call) {
  const lock held(mutex_);
  feeding_advice advice;
  if (call.task_ns) {
    auto tasks = std::min(call.grain_ns() / std::max(*call.task_ns, 1.0), longest_chunk_tasks);
    if (call.result_bytes > 0) tasks = std::min(tasks, chunk_result_bytes / call.result_bytes);
    advice.chunk_tasks = static_cast<std::uint32_t>(std::max(tasks, 1.0));
  }
  if (engine_->longest_chunk() != 0) advice.chunk_tasks = std::min(advice.chunk_tasks, engine_->longest_chunk());
  advice.hungry = call.waiting < static_cast<std::size_t>(engine_->workers()) * (engine_->depth() > 1 ? 2 : 0) ||
                  (backlog_.empty() && roomiest_worker() >= 0);
  advice.window_full = call.window.size() >= window_chunks * lanes_.size() || call.held_bytes >= window_bytes;
  advice.finished = closed_ || stopped_ || broken_ || options_.stop_token.stop_requested();
  return advice;
}

void dispatcher::abandon(call_state& call) noexcept {
  if (!own_process()) return;
  const lock held(mutex_);
  call.abandoned = true;
  if (call.window.empty()) return;  // it has come to its end
  call.ready.clear();
  std::erase_if(backlog_, [&](const auto& work) { return work->call.get() == &call; });
  for (std::size_t worker = 0; worker < lanes_.size(); ++worker) {
    for (const auto& work : lanes_[worker]) {
      if (work->call.get() != &call || work->recalled) continue;
      work->recalled = true;
      engine_->recall(static_cast<int>(worker), work->id);
    }
  }
  call.window.clear();
}

void dispatcher::throw_if_finished() {
  const lock held(mutex_);
  if (broken_) std::rethrow_exception(broken_);
  if (closed_) throw invoker_closed("invoker was shut down");
}

task_counts dispatcher::counts(const call_state& call) {
  const lock held(mutex_);
  return {call.submitted, std::max(call.started, call.settled), call.settled};
}

void dispatcher::shut_down() noexcept {
  if (!own_process()) return;
  lock held(mutex_);
  closed_ = true;
  backlog_.clear();
  // A task cannot wait for its own end: the destructor, or another call from outside, ends the workers.
  if (ended_ || engine_->runs_here()) return;
  ended_ = true;
  changed_.notify_all();
  while (leading_) {
    engine_->interrupt();
    ++waiting_;
    changed_.wait(held);
    --waiting_;
  }
  leading_ = true;
  held.unlock();
  on_stop_.reset();
  engine_->interrupt();
  if (attendant_.joinable()) attendant_.join();
  engine_->shut_down();
  held.lock();
  leading_ = false;
  for (auto& each : lanes_) each.remove_all();
  outstanding_ = 0;
  changed_.notify_all();
}

// ---- leading -------------------------------------------------------------------------------------------------------

template <class Ready>
void dispatcher::await(lock& held, Ready ready) {
  stop_if_requested();
  while (!ready()) {
    if (!leading_) {
      lead(held, false);
    } else {
      if (standing_in_) engine_->interrupt();
      ++waiting_;
      changed_.wait(held);
      --waiting_;
    }
    stop_if_requested();
  }
  if (waiting_ > 0 && !leading_) changed_.notify_all();
}

// Lets the attendant sleep on: to be woken only to find a consumer at work takes as long as a task of 30 µs.
void dispatcher::put_off_bell(std::chrono::nanoseconds delay) {
  if (!attendant_.joinable()) return;
  const auto now = steady::now();
  if (bell_set_ && bell_rings_at_ >= now + delay - attendant_patience / 2) return;
  bell_set_ = true;
  bell_rings_at_ = now + delay;
  engine_->ring_in(delay);
}

void dispatcher::lead(lock& held, bool attending) {
  // Whatever is thrown on the way, the leadership is given back, and the attendant looks whether anybody takes it.
  struct leadership {
    dispatcher& owner;
    lock& held;
    ~leadership() {
      if (!held.owns_lock()) held.lock();
      owner.leading_ = owner.standing_in_ = false;
      owner.led_at_ = steady::now();
      if (owner.waiting_ > 0) owner.changed_.notify_all();
      if (owner.outstanding_ > 0 && !owner.bell_set_) owner.put_off_bell(attendant_patience);
    }
  };
  leading_ = true;
  standing_in_ = attending;
  const leadership mine{*this, held};
  const auto deadline = next_deadline();
  const auto rest = attending ? std::chrono::nanoseconds::zero() : time_to_rest(deadline);
  const bool rests = rest >= shortest_rest;
  const bool watches = !attending && may_watch() && vigil_.next();
  if (rests) put_off_bell(rest + attendant_patience);
  held.unlock();
  if (rests) engine_->rest(rest);
  if (watches) vigil_.ended(engine_->watch(vigil::longest));
  engine_->wait(deadline, attending);
  held.lock();
  engine_->report(*this);
  enforce_deadlines();
  find_stalled();
  feed_workers();
  rebalance();
}

void dispatcher::attend_while_open() {
  for (;;) {
    engine_->attend();
    lock held(mutex_);
    if (closed_) return;
    stop_if_requested();
    bell_set_ = false;
    if (outstanding_ == 0 || leading_) continue;  // the leader rings when it leaves
    if (waiting_ == 0 && steady::now() - led_at_ >= attendant_patience) {
      while (!closed_ && outstanding_ > 0 && waiting_ == 0 && !leading_) {
        try {
          lead(held, true);
        } catch (const std::exception& error) {  // out of memory or of descriptors: consumers must not wait for ever
          break_pool(std::string("cannot look after the workers: ") + error.what());
        }
        stop_if_requested();
      }
      if (closed_) return;
    }
    if (outstanding_ > 0) put_off_bell(led_at_ + attendant_patience - steady::now());
  }
}

steady::duration dispatcher::stall_patience() const {
  if (!options_.task_timeout) return most_stall_patience;
  return std::clamp<steady::duration>(*options_.task_timeout, least_stall_patience, most_stall_patience);
}

// How long the leader can leave the workers alone. Being woken for every result costs as much as a task of 20 µs, on
// both sides, and takes a core from a worker: while all workers have enough to do, results are better left to pile up.
std::chrono::nanoseconds dispatcher::time_to_rest(steady::time_point deadline) const {
  auto rest_ns = std::numeric_limits<double>::max();
  for (std::size_t worker = 0; worker < lanes_.size(); ++worker) {
    const auto& in = lanes_[worker];
    if (in.size() < 2 || engine_->in_transfer(static_cast<int>(worker))) return {};
    const auto& call = *in.front()->call;
    if (!call.task_ns) return {};
    // Large results fill the connection, and then the worker waits. Seldom ones are awaited one by one.
    const auto until_full = connection_bytes / std::max(call.result_bytes, 1.0) * *call.task_ns;
    rest_ns = std::min({rest_ns, call.queue_ns() / 2, in.queued_ns() / 2, until_full});
    if (rest_ns * static_cast<double>(lanes_.size()) < results_worth_a_rest * *call.task_ns) return {};
  }
  const std::chrono::nanoseconds rest(std::llround(rest_ns));
  return std::min<std::chrono::nanoseconds>(rest, deadline - steady::now());
}

// Whether all that is waited for is one short chunk, or one of tasks not known yet, of a worker that runs on another
// processor than this thread.
bool dispatcher::may_watch() const {
  if (outstanding_ != 1 || processors_ < 2) return false;
  const auto busy = std::find_if(lanes_.begin(), lanes_.end(), [](const lane& each) { return !each.empty(); });
  if (busy == lanes_.end() || busy->queued_ns() > static_cast<double>(vigil::longest.count())) return false;
  const auto its_processor = engine_->processor(static_cast<int>(busy - lanes_.begin()));
  return its_processor && its_processor != sys::processor();
}

steady::time_point dispatcher::next_deadline() const {
  if (outstanding_ == 0) return steady::time_point::max();
  const auto next_look = std::max(look_for_stalls_at_, steady::now());
  if (!options_.task_timeout) return next_look;
  // A task that starts later than now cannot be due earlier than this.
  auto deadline = std::min(next_look, steady::now() + *options_.task_timeout);
  for (std::size_t worker = 0; worker < lanes_.size(); ++worker) {
    const auto task = engine_->in_hand(static_cast<int>(worker));
    if (!task || lanes_[worker].timed_out_index) continue;
    const auto started = steady::time_point(std::chrono::nanoseconds(task->started_at));
    deadline = std::min(deadline, started + *options_.task_timeout);
  }
  return deadline;
}

void dispatcher::enforce_deadlines() {
  if (!options_.task_timeout) return;
  for (std::size_t worker = 0; worker < lanes_.size(); ++worker) {
    auto& in = lanes_[worker];
    const auto task = engine_->in_hand(static_cast<int>(worker));
    if (!task || in.timed_out_index) continue;
    if (now_ns() - task->started_at < options_.task_timeout->count()) continue;
    const auto work = in.find(task->chunk);
    if (!work) continue;
    in.timed_out_chunk = task->chunk;
    in.timed_out_index = work->first_index + task->position;
    engine_->end_worker(static_cast<int>(worker));
  }
}

void dispatcher::find_stalled() {
  const auto now = steady::now();
  if (now < look_for_stalls_at_) return;
  look_for_stalls_at_ = now + stall_patience() / looks_to_stall;
  for (std::size_t worker = 0; worker < lanes_.size(); ++worker) {
    auto& in = lanes_[worker];
    auto seen = in.empty() ? std::nullopt : engine_->between_tasks(static_cast<int>(worker));
    in.unchanged = seen && seen == in.seen ? in.unchanged + 1 : 0;
    in.seen = seen;
    if (in.unchanged < looks_to_stall || in.stalled) continue;
    in.stalled = true;
    engine_->end_stalled(static_cast<int>(worker));
  }
}

}  // namespace lenskit::detail
