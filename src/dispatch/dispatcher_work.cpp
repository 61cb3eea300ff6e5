// The dispatcher's other half: giving out work, and what comes back of it.
#include <lenskit/detail/dispatch/dispatcher.hpp>
#include <lenskit/detail/wire/reader.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace lenskit::detail {
namespace {

constexpr std::size_t queued_at_least = 2;
// What a chunk must still cost for it to be worth taking it from its worker for an idle one.
constexpr double worth_moving_ns = 500e3;
// What a worker must have before it for any of it to be taken while no processor is idle: that ends nothing earlier,
// unless tasks wait for something else than a processor.
constexpr double worth_relieving_ns = 5e6;
// Deaths without a success in between before the pool gives up, for each worker (W7).
constexpr int deaths_per_worker = 3;
constexpr int most_spawners_lost = 3;  // likewise
constexpr std::size_t remembered_deaths = 10;

std::string describe(const worker_death& death) {
  const auto& report = death.report;
  if (death.start_error != 0) return fmt::format("a worker could not be forked: {}", std::strerror(death.start_error));
  if (report.signal) return fmt::format("worker {}: signal {}", death.pid, *report.signal);
  if (death.lost_with_spawner) return fmt::format("worker {}: lost with the spawner of the workers", death.pid);
  if (report.exit_code) return fmt::format("worker {}: exit code {}", death.pid, *report.exit_code);
  return fmt::format("worker {}: ended in an unknown way", death.pid);
}

}  // namespace

// ---- giving out work -----------------------------------------------------------------------------------------------

// The worker with the least to do among those with room; -1 if there is none.
int dispatcher::roomiest_worker() const {
  int best = -1;
  std::pair<std::size_t, double> least{};
  const auto depth = static_cast<std::size_t>(engine_->depth());
  for (std::size_t worker = 0; worker < lanes_.size(); ++worker) {
    const auto& in = lanes_[worker];
    if (in.size() >= depth) continue;
    const std::pair load{std::min(in.size(), queued_at_least), in.queued_ns()};
    if (best >= 0 && load >= least) continue;
    if (in.size() >= queued_at_least) {
      const auto& call = *in.front()->call;
      if (!call.task_ns || load.second >= call.queue_ns()) continue;
    }
    if (!engine_->usable(static_cast<int>(worker))) continue;
    best = static_cast<int>(worker);
    least = load;
    if (in.empty()) break;  // nobody has less
  }
  return best;
}

void dispatcher::feed_workers() {
  bool sent = false;
  while (!backlog_.empty() && !closed_) {
    const int worker = roomiest_worker();
    if (worker < 0) break;
    auto work = std::move(backlog_.front());
    backlog_.pop_front();
    --work->call->waiting;
    work->worker = worker;
    work->send_every_us = static_cast<std::uint16_t>(work->call->grain_ns() / 1000);
    work->call->started += work->unsettled();
    ++outstanding_;
    lanes_[static_cast<std::size_t>(worker)].add(work);
    engine_->send(worker, std::move(work));
    sent = true;
  }
  if (sent) engine_->flush();
}

void dispatcher::requeue(const std::shared_ptr<chunk>& work) {
  if (work->call->abandoned) return;
  work->worker = -1;
  work->recalled = false;
  ++work->call->waiting;
  work->call->started -= work->unsettled();
  backlog_.push_front(work);
}

// Cuts `from` before `position`: the tasks from there on get a chunk of their own.
std::shared_ptr<chunk> dispatcher::split_off(chunk& from, std::uint32_t position) {
  auto rest = std::make_shared<chunk>();
  rest->id = next_chunk_++;
  rest->call = from.call;
  rest->first_index = from.first_index + position;
  rest->count = from.count - position;
  rest->arguments = from.arguments;
  const auto at = argument_offset(from.argument_bytes, from.arguments->record_bytes, position);
  rest->argument_bytes = from.argument_bytes.subspan(at);
  from.argument_bytes = from.argument_bytes.first(at);
  from.count = position;
  from.call->window.emplace(rest->first_index, rest);
  return rest;
}

// Sends the unsettled tasks of `work` again; `work` keeps those that are settled.
void dispatcher::requeue_rest(const std::shared_ptr<chunk>& work) {
  if (work->done() || work->call->abandoned) return;
  const auto takers = static_cast<std::uint32_t>(std::min(lanes_.size(), 2 * at_once_));
  const auto shares = work->recalled ? std::min(takers, work->unsettled()) : 1;
  auto rest = work;
  if (work->settled > 0) {
    rest = split_off(*work, work->settled);
    rest->deaths = std::exchange(work->deaths, 0);
    if (work->parts.empty()) forget(*work);  // all taken: no consumer will come by it again
  } else {
    rest->id = next_chunk_++;  // what may still come under the old name is not believed
  }
  // Backwards, because each goes to the front of the backlog.
  for (auto share = shares - 1; share > 0; --share) requeue(split_off(*rest, rest->count / (share + 1) * share));
  requeue(rest);
}

void dispatcher::forget(const chunk& done) {
  if (done.call->window.erase(done.first_index) == 0) return;
  done.call->held_bytes -= std::min(done.call->held_bytes, done.argument_bytes.size());
}

// Whether fewer workers have something to do than could run at the same time.
bool dispatcher::processors_idle() const {
  const auto busy = std::count_if(lanes_.begin(), lanes_.end(), [](const lane& each) { return !each.empty(); });
  return static_cast<std::size_t>(busy) < at_once_;
}

// When a worker has nothing to do and nothing waits, it takes over from the one that has most. Tasks that turn out
// longer than those before them would otherwise keep one worker busy with a chunk that was cut for short ones.
void dispatcher::rebalance() {
  if (!backlog_.empty() || closed_ || stopped_) return;
  const double worth_relieving = processors_idle() ? 0 : worth_relieving_ns;
  chunk* dearest = nullptr;
  int holder = -1;
  double most = worth_moving_ns;
  bool idle = false;
  for (std::size_t worker = 0; worker < lanes_.size(); ++worker) {
    const auto& in = lanes_[worker];
    idle |= in.empty() && engine_->usable(static_cast<int>(worker));
    if (in.queued_ns() < worth_relieving) continue;
    for (const auto& work : in) {
      const auto movable = work->unsettled() - (work == in.front() ? 1 : 0);  // the first one runs
      const double cost = work->call->task_ns.value_or(0) * movable;
      if (work->recalled || cost <= most) continue;
      most = cost;
      dearest = work.get();
      holder = static_cast<int>(worker);
    }
  }
  if (!idle || dearest == nullptr) return;
  dearest->recalled = true;
  engine_->recall(holder, dearest->id);
}

// ---- what comes back -----------------------------------------------------------------------------------------------

void dispatcher::add_part(chunk& of, outcome_part part) {
  part.first_index = of.first_index + of.settled;
  of.settled += part.count;
  of.call->settled += part.count;
  if (of.call->abandoned || part.count == 0) return;
  of.call->held_bytes += part.payload.size();
  of.parts.push_back(std::move(part));
}

void dispatcher::on_results(int worker, pid_t pid, frame message) {
  auto& in = lanes_[static_cast<std::size_t>(worker)];
  reader bytes(message.payload.bytes());
  const auto head = bytes.get<results_head>("a results message");
  const auto work = in.find(head.chunk);
  if (!work) return;
  const auto left = work->unsettled();
  if (head.offset != work->settled || head.count > left || (head.returned != 0 && head.returned != left - head.count)) {
    engine_->end_worker(worker);  // it does not know what it says: what it has is given to others
    return;
  }
  if (head.count > 0) {
    deaths_in_a_row_ = spawners_in_a_row_ = 0;
    work->deaths = 0;
    work->call->learn(head.count, head.elapsed_ns, message.payload.size() - sizeof head);
    outcome_part part;
    part.count = head.count;
    part.payload = std::move(message.payload);
    part.runs_at = sizeof head;
    part.attached = std::move(message.attached);
    part.worker_pid = pid;
    add_part(*work, std::move(part));
    in.note_settled(head.count);
    if (work->call->plan.order == result_order::of_completion && !work->call->abandoned)
      work->call->ready.push_back(work);
  }
  if (head.returned == 0 && !work->done()) return;
  in.remove(*work);
  --outstanding_;
  requeue_rest(work);
}

void dispatcher::on_death(int worker, worker_death death) {
  auto& in = lanes_[static_cast<std::size_t>(worker)];
  const auto lost = in.remove_all();
  outstanding_ -= lost.size();
  const bool stalled = std::exchange(in.stalled, false);
  in.unchanged = 0;
  if (!death.ended_by_pool || stalled) {
    // What was never forked, or lost with its spawner, is no proof that tasks kill.
    deaths_in_a_row_ += death.start_error == 0 && !death.lost_with_spawner;
    last_deaths_.push_back(stalled ? fmt::format("worker {}: stalled outside of a task", death.pid) : describe(death));
    if (last_deaths_.size() > remembered_deaths) last_deaths_.pop_front();
  }
  // Backwards, because each goes to the front of the backlog.
  for (auto work = lost.rbegin(); work != lost.rend(); ++work) {
    if (death.will.chunk == (*work)->id) settle_death(*work, death, in);
    requeue_rest(*work);
  }
  in.timed_out_index.reset();
  if (deaths_in_a_row_ >= deaths_per_worker * engine_->workers() && !closed_) {
    break_pool(fmt::format("gave up after {} worker deaths in a row", deaths_in_a_row_));
  }
}

// Deals with the chunk that a dead worker had in hand: saves what was finished, and charges the task that was running.
void dispatcher::settle_death(const std::shared_ptr<chunk>& work, const worker_death& death, const lane& in) {
  const auto& will = death.will;
  const bool saves = will.base == work->settled && will.finished > will.base && will.finished <= work->count;
  if (saves) {
    outcome_part part;
    part.count = will.finished - will.base;
    part.payload = byte_buffer(will.saved.size());
    std::copy_n(will.saved.data(), will.saved.size(), part.payload.data());
    part.worker_pid = death.pid;
    add_part(*work, std::move(part));
    work->deaths = 0;
    deaths_in_a_row_ = std::min(deaths_in_a_row_, 1);  // something succeeded before this one
    spawners_in_a_row_ = 0;
  }
  const bool running = will.started > work->settled && will.started <= work->count && !work->done();
  if (running) {
    task_failure failure;
    failure.index = work->first_index + work->settled;
    failure.worker_pid = death.pid;
    failure.stack = death.stack;
    const bool late = in.timed_out_index == failure.index && in.timed_out_chunk == work->id;
    outcome_part part;
    part.count = 1;
    if (late) {
      part.failure = std::make_exception_ptr(task_timeout(failure, *options_.task_timeout));
      add_part(*work, std::move(part));
    } else if (!death.ended_by_pool && work->deaths++ >= options_.max_retries) {
      auto report = death.report;
      report.elapsed = std::chrono::nanoseconds(will.started_at != 0 ? now_ns() - will.started_at : 0);
      part.failure = std::make_exception_ptr(worker_died(failure, std::move(report)));
      add_part(*work, std::move(part));
      work->deaths = 0;
    }
  }
  if (work->call->plan.order == result_order::of_completion && !work->parts.empty()) work->call->ready.push_back(work);
}

// A killed spawner says nothing about the tasks, but a task that always kills it must not be run for ever.
void dispatcher::on_spawner_lost() {
  if (++spawners_in_a_row_ >= most_spawners_lost && !closed_) {
    break_pool(fmt::format("gave up after the spawner of the workers was lost {} times in a row", spawners_in_a_row_));
  }
}

void dispatcher::on_broken(std::string why) { break_pool(why); }

void dispatcher::break_pool(const std::string& why) {
  if (broken_) return;
  broken_ = std::make_exception_ptr(broken_pool(why, {last_deaths_.begin(), last_deaths_.end()}));
  fail_everything(broken_);
  engine_->stop_working();
}

void dispatcher::stop_if_requested() {
  if (stopped_ || !options_.stop_token.stop_requested()) return;
  stopped_ = true;
  fail_everything(nullptr);
  engine_->stop_working();
}

// Gives every task that has no outcome `failure`, or task_cancelled where that is null.
void dispatcher::fail_everything(const std::exception_ptr& failure) {
  backlog_.clear();
  for (auto& each : lanes_) each.remove_all();
  outstanding_ = 0;
  for (const auto& weak : calls_) {
    const auto call = weak.lock();
    if (!call || call->abandoned) continue;
    call->waiting = 0;
    for (const auto& [first, work] : call->window) {
      if (work->done()) continue;
      outcome_part part;
      part.count = work->unsettled();
      part.failure = failure;
      part.cancelled = failure == nullptr;
      add_part(*work, std::move(part));
      if (call->plan.order == result_order::of_completion) call->ready.push_back(work);
    }
  }
  changed_.notify_all();
}

}  // namespace lenskit::detail
