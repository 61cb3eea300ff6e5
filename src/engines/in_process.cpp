#include <lenskit/detail/engines/in_process.hpp>

#include <utility>

namespace lenskit::detail {

in_process_engine::in_process_engine(std::shared_ptr<workplace> place)
    : worker_(0, std::move(place), [this](std::list<results_event> results) {
        const std::lock_guard held(mutex_);
        results_.splice(results_.end(), results);
      }) {}

int in_process_engine::room(int) const noexcept { return full_.load(std::memory_order_relaxed) ? 0 : 1; }

void in_process_engine::send(std::span<order> orders) noexcept {
  const std::lock_guard held(mutex_);
  work_ = std::move(orders.front().work);
  full_.store(true, std::memory_order_relaxed);
}

std::optional<std::uint32_t> in_process_engine::take_back(int, std::uint64_t chunk, std::uint32_t keep) noexcept {
  const std::lock_guard held(mutex_);
  if (running_.chunk == chunk) return worker_.take_back(running_.number, running_.count, keep);
  if (!work_ || work_->chunk != chunk) return claim::most_tasks;  // it is over
  work_.reset();
  full_.store(false, std::memory_order_relaxed);
  return 0;
}

bool in_process_engine::wait(manner how, steady::time_point) {
  if (how != manner::lead) return false;
  std::unique_lock held(mutex_);
  if (!work_) return false;
  worker_.prepare();  // there is nobody else who could give memory back while the results wait for some (A1)
  const auto work = std::exchange(work_, std::nullopt);
  full_.store(false, std::memory_order_relaxed);
  running_ = {work->chunk, worker_.expect(*work), work->count};
  held.unlock();
  const serving_scope serving(*this);
  worker_.run(*work, running_.number);
  held.lock();
  running_ = {};
  return true;
}

void in_process_engine::report(engine_listener& listener) noexcept {
  std::unique_lock held(mutex_);
  auto results = std::exchange(results_, {});
  held.unlock();
  for (auto& each : results) listener.on_results(each.worker, each.head, std::move(each.part));
}

}  // namespace lenskit::detail
