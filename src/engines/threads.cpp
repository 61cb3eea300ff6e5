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

namespace lenskit::detail {
namespace {

constexpr int most_chunks_per_worker = 16;
thread_local const threads_engine* running_for = nullptr;

}  // namespace

struct threads_engine::thread_worker {
  thread_worker(threads_engine& engine, int number, std::unique_ptr<workplace> place)
      : owner(engine),
        index(number),
        worker(std::move(place), [this](frame message) { owner.deliver(index, std::move(message)); }) {
    thread = quiet_thread([this] { serve(); }, thread_role::tasks);
  }

  void serve() {
    const role_scope role(process_role::pool_worker, index);
    running_for = &owner;
    for (;;) {
      std::unique_lock held(mutex);
      running = 0;
      changed.wait(held, [this] { return stopping || !queue.empty(); });
      if (stopping) return;
      const auto work = std::move(queue.front());
      queue.pop_front();
      running = work->id;
      held.unlock();
      worker.run(*work);
    }
  }

  threads_engine& owner;
  const int index;
  local_worker worker;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::shared_ptr<chunk>> queue;
  std::uint64_t running = 0;
  bool stopping = false;
  std::thread thread;
};

threads_engine::threads_engine(const workplace& place, int workers) {
  poller_.watch(wakeup_.fd(), 0);
  try {
    for (int index = 0; index < workers; ++index) {
      threads_.push_back(std::make_unique<thread_worker>(*this, index, place.clone()));
    }
  } catch (const std::system_error& error) {
    if (threads_.empty()) throw_errno("cannot create a worker's thread", error.code().value());
    log_warning(fmt::format("{} of {} workers are missed: {}", workers - this->workers(), workers,
                            error_text(error.code().value())));
  } catch (...) {
    shut_down();
    throw;
  }
}

threads_engine::~threads_engine() { shut_down(); }

int threads_engine::depth() const noexcept { return most_chunks_per_worker; }

void threads_engine::send(int worker, std::shared_ptr<chunk> work) noexcept {
  auto& to = *threads_[static_cast<std::size_t>(worker)];
  {
    const std::lock_guard held(to.mutex);
    to.queue.push_back(std::move(work));
  }
  to.changed.notify_one();
}

void threads_engine::recall(int worker, std::uint64_t chunk) noexcept {
  auto& from = *threads_[static_cast<std::size_t>(worker)];
  const std::lock_guard held(from.mutex);
  if (from.running == chunk) {
    from.worker.recall(chunk);
    return;
  }
  const auto found =
      std::find_if(from.queue.begin(), from.queue.end(), [&](const auto& work) { return work->id == chunk; });
  if (found == from.queue.end()) return;
  deliver(worker, returned_message(chunk, (*found)->count));
  from.queue.erase(found);
}

void threads_engine::deliver(int worker, frame message) {
  bool first = false;
  {
    const std::lock_guard held(messages_mutex_);
    first = messages_.empty();
    messages_.emplace_back(worker, std::move(message));
  }
  if (first) wakeup_.raise();  // whoever takes one takes all
}

void threads_engine::wait(steady::time_point deadline, bool) {
  std::array<readiness, 1> room;
  if (!poller_.wait(room, deadline).empty()) wakeup_.clear();
}

void threads_engine::report(engine_listener& listener) {
  std::vector<std::pair<int, frame>> messages;
  {
    const std::lock_guard held(messages_mutex_);
    messages.swap(messages_);
  }
  for (auto& [worker, message] : messages) listener.on_results(worker, sys::getpid(), std::move(message));
}

bool threads_engine::runs_here() const noexcept { return running_for == this; }

void threads_engine::shut_down() noexcept {
  for (const auto& each : threads_) {
    const std::lock_guard held(each->mutex);
    each->stopping = true;
    each->worker.recall(each->running);
    each->changed.notify_one();
  }
  for (const auto& each : threads_) {
    if (each->thread.joinable()) each->thread.join();
  }
}

}  // namespace lenskit::detail
