#include <lenskit/detail/engines/in_process.hpp>
#include <lenskit/detail/os/system.hpp>

#include <utility>

namespace lenskit::detail {

in_process_engine::in_process_engine(std::shared_ptr<workplace> place)
    : worker_(std::move(place), [this](frame message) {
        const std::lock_guard held(mutex_);
        messages_.push_back(std::move(message));
      }) {}

void in_process_engine::send(int, std::shared_ptr<chunk> work) noexcept {
  const std::lock_guard held(mutex_);
  work_ = std::move(work);
}

void in_process_engine::recall(int, std::uint64_t chunk) noexcept {
  const std::lock_guard held(mutex_);
  if (!work_ || work_->id != chunk) return;
  messages_.push_back(returned_message(chunk, work_->count));
  work_.reset();
}

void in_process_engine::wait(steady::time_point, bool) {
  std::unique_lock held(mutex_);
  const auto work = std::exchange(work_, nullptr);
  held.unlock();
  if (!work) return;
  runner_ = std::this_thread::get_id();
  worker_.run(*work);
  runner_ = std::thread::id();
}

void in_process_engine::report(engine_listener& listener) {
  std::unique_lock held(mutex_);
  auto messages = std::exchange(messages_, {});
  held.unlock();
  for (auto& message : messages) listener.on_results(0, sys::getpid(), std::move(message));
}

}  // namespace lenskit::detail
