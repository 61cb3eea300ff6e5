#include <lenskit/detail/dispatch/roster.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace lenskit::detail {

// ---- lane ----------------------------------------------------------------------------------------------------------

std::shared_ptr<chunk> lane::find(std::uint64_t name) const noexcept {
  for (const auto& each : chunks_) {
    if (each->name == name) return each;
  }
  return nullptr;
}

void lane::add(std::shared_ptr<chunk> work) noexcept {
  if (empty()) {
    call_ = work->call.get();
    tasks_ = 0;
  } else if (call_ != work->call.get()) {
    call_ = nullptr;
  }
  tasks_ += work->limit - work->settled;
  chunks_.push_back(std::move(work));
}

std::shared_ptr<chunk> lane::remove(chunk& work) noexcept {
  if (!work.returned()) tasks_ -= work.limit - work.settled;
  return chunks_.remove(work);
}

double lane::queued_ns() const noexcept {
  if (empty()) return 0;
  if (call_ != nullptr) return call_->pace.task_ns().value_or(0) * static_cast<double>(tasks_);
  double sum = 0;
  for (const auto& work : chunks_) {
    const auto left = work->limit - std::min(work->limit, work->settled);
    sum += work->call->pace.task_ns().value_or(0) * left;
  }
  return sum;
}

// ---- roster --------------------------------------------------------------------------------------------------------

roster::roster(const worker_engine& engine, std::size_t at_once)
    : engine_(engine), at_once_(at_once), lanes_(static_cast<std::size_t>(engine.traits().workers)) {}

int roster::only_busy() const noexcept {
  if (outstanding_ != 1) return -1;
  const auto busy = std::find_if(lanes_.begin(), lanes_.end(), [](const lane& each) { return !each.empty(); });
  return busy == lanes_.end() ? -1 : static_cast<int>(busy - lanes_.begin());
}

void roster::enqueue(std::shared_ptr<chunk> work) noexcept {
  ++work->call->waiting;
  backlog_.push_back(std::move(work));
}

void roster::enqueue_first(std::shared_ptr<chunk> work) noexcept {
  ++work->call->waiting;
  backlog_.push_front(std::move(work));
}

int roster::roomiest() const noexcept {
  int best = -1;
  std::pair<std::size_t, double> least{};
  for (std::size_t worker = 0; worker < lanes_.size(); ++worker) {
    const auto& in = lanes_[worker];
    const std::pair load{std::min(in.size(), pace::queued_at_least), in.queued_ns()};
    if (best >= 0 && load >= least) continue;
    if (in.size() >= pace::queued_at_least) {
      const auto& pace = in.front()->call->pace;
      if (!pace.task_ns() || load.second >= pace.queue_ns()) continue;
    }
    if (engine_.room(static_cast<int>(worker)) <= in.unsent) continue;
    best = static_cast<int>(worker);
    least = load;
    if (in.empty()) break;  // nobody has less
  }
  return best;
}

std::span<order> roster::deal(steady::time_point now, std::size_t most) noexcept {
  std::size_t count = 0;
  while (!backlog_.empty() && count < std::min(most, orders_.size())) {
    const int worker = roomiest();
    if (worker < 0) break;
    orders_[count++] = give(worker, now);
  }
  const auto dealt = std::span(orders_).first(count);
  for (const auto& each : dealt) of(each.worker).unsent = 0;
  return dealt;
}

order roster::give(int worker, steady::time_point now) noexcept {
  auto work = backlog_.pop_front();
  --work->call->waiting;
  work->call->started += work->unsettled();
  order given{worker, assign_rest(*work, next_name_++)};
  auto& to = of(worker);
  if (to.empty()) {
    to.progressed_at = now;
    ++busy_;
  }
  ++outstanding_;
  ++to.unsent;
  to.add(std::move(work));
  return given;
}

std::shared_ptr<chunk> roster::take_from(int worker, chunk& work) noexcept {
  auto& in = of(worker);
  auto taken = in.remove(work);
  taken->name = 0;
  --outstanding_;
  if (in.empty()) --busy_;
  return taken;
}

void roster::drop_waiting(const call_state& call) noexcept {
  for (auto at = backlog_.begin(); at != backlog_.end();) {
    if ((*at)->call.get() == &call) {
      backlog_.remove(**at);  // the iterator stands at the link, which leads to the next one now
    } else {
      ++at;
    }
  }
}

void roster::clear() noexcept {
  backlog_.clear();
  for (auto& each : lanes_) each.clear();
  outstanding_ = busy_ = 0;
}

// ---- taking over ---------------------------------------------------------------------------------------------------

bool roster::anybody_idle() const noexcept {
  if (busy_ == lanes_.size()) return false;
  for (std::size_t worker = 0; worker < lanes_.size(); ++worker) {
    if (lanes_[worker].empty() && engine_.room(static_cast<int>(worker)) > 0) return true;
  }
  return false;
}

// While no processor is idle, to give an idle worker something ends nothing earlier, as a rule.
steady::duration roster::patience() const noexcept {
  return busy_ < at_once_ ? pace::behind_patience : pace::crowded_patience;
}

// What it is worth, in ns, that somebody else runs what a worker has not begun; 0: not worth it.
double roster::worth_of(const lane& in, steady::time_point now) const noexcept {
  if (in.waiting_tasks() == 0 || now < in.spared_until) return 0;
  const auto tasks = static_cast<double>(in.waiting_tasks());
  const double known = in.queued_ns() * tasks / (tasks + 1);  // the one that runs is not moved
  const double least = busy_ < at_once_ ? pace::worth_moving_ns : pace::worth_relieving_ns;
  const auto behind = now - in.progressed_at;
  if (behind >= patience()) return std::max(known, static_cast<double>(std::chrono::nanoseconds(behind).count()));
  return known > least ? known : 0;
}

// Whether it is in a task that is longer than those before it. It may be the last to come to what is next.
bool roster::held_up(int worker, steady::time_point now) const noexcept {
  const auto& in = of(worker);
  if (engine_.look(worker, aspect::progress).between_tasks) return false;  // it has begun nothing
  const std::chrono::duration<double, std::nano> behind = now - in.progressed_at;
  constexpr double much_longer = 2;
  return behind >= patience() && behind.count() >= much_longer * in.front()->call->pace.task_ns().value_or(0);
}

std::optional<roster::transfer_plan> roster::next_transfer(steady::time_point now) const noexcept {
  if (!backlog_.empty() || outstanding_ == 0 || !anybody_idle()) return std::nullopt;
  const lane* dearest = nullptr;
  double most = 0;
  for (const auto& each : lanes_) {
    if (const double worth = worth_of(each, now); worth > most) {
      most = worth;
      dearest = &each;
    }
  }
  if (dearest == nullptr) return std::nullopt;
  transfer_plan plan;
  plan.from = static_cast<int>(dearest - lanes_.data());
  if (held_up(plan.from, now)) return plan;
  // Half of what has not begun, from the back: the holder goes on with what comes first.
  auto* last = dearest->back();
  while (last->returned()) last = last->queued.previous;
  plan.work = dearest->find(last->name);
  const auto waiting = last->limit - last->settled - (plan.work == dearest->front() ? 1 : 0);
  const auto wanted = (dearest->waiting_tasks() + 1) / 2;
  plan.keep = waiting > wanted ? static_cast<std::uint32_t>(waiting - wanted) : 0;
  // If it has begun nothing yet, its next task is left to it too: else two workers could pass it to and fro.
  if (plan.work == dearest->front() && engine_.look(plan.from, aspect::progress).between_tasks) ++plan.keep;
  return plan;
}

steady::time_point roster::look_again_at() const noexcept {
  auto next = steady::time_point::max();
  if (!backlog_.empty() || !anybody_idle()) return next;
  for (const auto& each : lanes_) {
    if (each.waiting_tasks() > 0) next = std::min(next, std::max(each.progressed_at + patience(), each.spared_until));
  }
  return next;
}

// ---- resting -------------------------------------------------------------------------------------------------------

std::chrono::nanoseconds roster::time_to_rest() const noexcept {
  auto rest_ns = static_cast<double>(pace::longest_rest.count());
  for (std::size_t worker = 0; worker < lanes_.size(); ++worker) {
    const auto& in = lanes_[worker];
    if (in.size() < 2 || engine_.look(static_cast<int>(worker), aspect::transfer).in_transfer) return {};
    const auto& pace = in.front()->call->pace;
    if (!pace.task_ns()) return {};
    // Large results fill the connection, and then the worker waits. Seldom ones are awaited one by one.
    rest_ns = std::min({rest_ns, pace.queue_ns() / 2, in.queued_ns() / 2, pace.until_full_ns()});
    if (rest_ns * static_cast<double>(lanes_.size()) < pace::results_worth_a_rest * *pace.task_ns()) return {};
  }
  return std::chrono::nanoseconds(std::llround(rest_ns));
}

}  // namespace lenskit::detail
