#include <lenskit/detail/dispatch/pace.hpp>
#include <lenskit/detail/engines/threads.hpp>
#include <lenskit/detail/log/log_line.hpp>
#include <lenskit/detail/os/errors.hpp>
#include <lenskit/detail/os/signals.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/os/worker_state.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <new>
#include <thread>
#include <utility>

namespace lenskit::detail {
namespace {

constexpr std::size_t most_chunks_per_worker = 16;

}  // namespace

class threads_engine::thread_worker {
 public:
  thread_worker(threads_engine& engine, int number, std::unique_ptr<workplace> place)
      : owner_(engine), worker_(number, std::move(place), [this](std::list<results_event> results) {
          silent_since_ = now_ns();
          owner_.deliver(std::move(results));
        }) {
    queue_.reserve(most_chunks_per_worker);
    thread_ = quiet_thread([this, number] { serve(number); }, thread_role::tasks);
  }
  thread_worker(const thread_worker&) = delete;
  thread_worker& operator=(const thread_worker&) = delete;
  ~thread_worker() {  // also of one for which there is no place in the pool (A1)
    stop();
    join();
  }

  [[nodiscard]] int room() const noexcept {
    const std::lock_guard held(mutex_);
    return stopping_ ? 0 : static_cast<int>(room_left());
  }

  void send(assignment work) noexcept {
    {
      const std::lock_guard held(mutex_);
      const auto number = worker_.expect(work);
      queue_.push_back({std::move(work), number});
    }
    changed_.notify_one();
  }

  // What has been taken back wholly stays in the queue, as the claim says, so that claims are passed in their order.
  std::uint32_t take_back(std::uint64_t chunk, std::uint32_t keep) noexcept {
    const std::lock_guard held(mutex_);
    const auto found =
        std::find_if(queue_.begin(), queue_.end(), [&](const auto& each) { return each.work.chunk == chunk; });
    const auto& holder = found != queue_.end() ? *found : running_;
    if (holder.work.chunk != chunk) return claim::most_tasks;  // it is over
    return worker_.take_back(holder.number, holder.work.count, keep);
  }

  // Results that its task keeps back, if it has been silent for long.
  std::list<results_event> unsent(std::int64_t now) {
    const std::int64_t since = silent_since_;
    if (since == 0 || now - since < pace::harvest_after.count()) return {};
    silent_since_ = now;
    return worker_.unsent();
  }
  // When to ask for them; never while it has nothing to do.
  [[nodiscard]] steady::time_point ask_at() const noexcept {
    const std::int64_t since = silent_since_;
    return since == 0 ? steady::time_point::max()
                      : steady::time_point(std::chrono::nanoseconds(since) + pace::harvest_after);
  }

  void stop() noexcept {
    const std::lock_guard held(mutex_);
    stopping_ = true;
    for (const auto& each : queue_) std::ignore = worker_.take_back(each.number, each.work.count, 0);
    if (running_.work.chunk != 0) std::ignore = worker_.take_back(running_.number, running_.work.count, 0);
    changed_.notify_one();
  }
  void join() noexcept {
    if (thread_.joinable()) thread_.join();
  }

 private:
  [[nodiscard]] std::size_t room_left() const noexcept {
    return std::min<std::size_t>(most_chunks_per_worker - queue_.size(), worker_.room());
  }
  struct task_list {
    assignment work{};
    std::uint32_t number = 0;
  };

  void serve(int number) {
    const role_scope role(process_role::pool_worker, number);
    const serving_scope serving(owner_);
    for (;;) {
      std::unique_lock held(mutex_);
      running_ = {};
      silent_since_ = 0;
      changed_.wait(held, [this] { return stopping_ || !queue_.empty(); });
      if (stopping_) break;
      const bool was_full = room_left() == 0;
      running_ = std::move(queue_.front());
      queue_.erase(queue_.begin());
      // Only this thread changes what it works at.
      const auto& current = running_;
      if (current.work.count > 1) silent_since_ = now_ns();
      held.unlock();
      worker_.run(current.work, current.number);
      if (was_full)
        owner_.wakeup_.raise();  // if the chunk had been taken back, no result of it says that there is room
    }
    worker_.leave_place();
  }

  threads_engine& owner_;
  local_worker worker_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<task_list> queue_;
  task_list running_;
  bool stopping_ = false;
  std::atomic<std::int64_t> silent_since_{0};
  std::thread thread_;
};

threads_engine::threads_engine(const workplace& place, int workers) {
  poller_.watch(wakeup_.fd(), 0);
  try {
    for (int index = 0; index < workers; ++index) {
      threads_.push_back(std::make_unique<thread_worker>(*this, index, place.clone()));
    }
  } catch (const std::system_error& error) {
    if (threads_.empty()) throw_errno("cannot create a worker's thread", error.code().value());
    log_warning(fmt::format("{} of {} workers are missed: {}", workers - static_cast<int>(threads_.size()), workers,
                            error_text(error.code().value())));
  } catch (...) {
    shut_down();
    throw;
  }
  traits_.workers = static_cast<int>(threads_.size());
}

threads_engine::~threads_engine() { shut_down(); }

int threads_engine::room(int worker) const noexcept { return threads_[static_cast<std::size_t>(worker)]->room(); }

void threads_engine::send(std::span<order> orders) noexcept {
  for (auto& each : orders) threads_[static_cast<std::size_t>(each.worker)]->send(std::move(each.work));
}

std::optional<std::uint32_t> threads_engine::take_back(int worker, std::uint64_t chunk, std::uint32_t keep) noexcept {
  return threads_[static_cast<std::size_t>(worker)]->take_back(chunk, keep);
}

void threads_engine::deliver(std::list<results_event> results) noexcept {
  bool first = false;
  {
    const std::lock_guard held(results_mutex_);
    if (results.empty()) starved_ = true;
    first = results_.empty();
    results_.splice(results_.end(), results);
  }
  if (first) wakeup_.raise();  // whoever takes one takes all
}

bool threads_engine::wait(manner how, steady::time_point until) {
  if (how != manner::lead) return false;
  for (const auto& each : threads_) until = std::min(until, each->ask_at());
  std::array<readiness, 1> room;
  const bool news = !poller_.wait(room, until).empty();
  rung_ |= news;
  if (starved_.exchange(false)) throw std::bad_alloc();  // or nobody would learn why no results come (A1)
  for (const auto& each : threads_) {
    if (auto results = each->unsent(now_ns()); !results.empty()) deliver(std::move(results));
  }
  return news;
}

void threads_engine::report(engine_listener& listener) noexcept {
  if (std::exchange(rung_, false)) wakeup_.clear();  // not before: the wait may have ended for want of memory (A1)
  std::list<results_event> results;
  {
    const std::lock_guard held(results_mutex_);
    results.swap(results_);
  }
  for (auto& each : results) listener.on_results(each.worker, each.head, std::move(each.part));
}

void threads_engine::shut_down() noexcept {
  for (const auto& each : threads_) each->stop();
  for (const auto& each : threads_) each->join();
}

}  // namespace lenskit::detail
