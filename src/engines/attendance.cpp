#include <lenskit/detail/engines/attendance.hpp>
#include <lenskit/detail/engines/event_source.hpp>
#include <lenskit/detail/log/delivery.hpp>
#include <lenskit/detail/os/other_threads.hpp>

#include <array>
#include <utility>

namespace lenskit::detail {
namespace {

// While workers log without a pause, records are left to pile up: to be woken for each would cost the workers more than
// to write them. What arrives in a rest fits into a log pipe.
constexpr std::size_t busy_log_bytes = 4096;
constexpr auto log_rest = std::chrono::microseconds(300);

}  // namespace

attendance::attendance(int workers) : reports_(static_cast<std::size_t>(workers)) {
  poller_.watch(interrupt_.fd(), key_of(event_source::interrupt));
  poller_.watch(bell_.fd(), key_of(event_source::bell));
}

void attendance::hear(int worker, std::shared_ptr<report_reader> reports) {
  const int fd = reports->fd();
  {
    const std::lock_guard held(mutex_);
    reports_[static_cast<std::size_t>(worker)] = std::move(reports);
  }
  poller_.watch(fd, key_of(event_source::log, worker));
}

void attendance::forget(int worker) noexcept {
  std::shared_ptr<report_reader> gone;
  {
    const std::lock_guard held(mutex_);
    gone = std::exchange(reports_[static_cast<std::size_t>(worker)], nullptr);
  }
  if (gone) poller_.forget(gone->fd());
}

bool attendance::drain(steady::time_point until) {
  last_bytes_ = 0;
  std::array<readiness, 64> room;
  const auto all = poller_.wait(room, until);
  // Who calls in vain, since what would wake this thread was closed, finds it looking around by itself now and then.
  bool called = all.empty() && until == steady::time_point::max();
  for (const auto& ready : all) {
    switch (kind_of(ready)) {
      case event_source::log: {
        std::unique_lock held(mutex_);
        const auto reports = reports_[static_cast<std::size_t>(worker_of(ready))];
        held.unlock();
        if (!reports) break;
        last_bytes_ += reports->drain();
        // The pipe must say it: what was ready may have been the log of the worker before this one.
        if (reports->at_end()) poller_.forget(reports->fd());
        break;
      }
      case event_source::bell:
        bell_.clear();
        called = true;
        break;
      default:
        interrupt_.clear();
        called = true;
        break;
    }
  }
  return called;
}

void attendance::attend() {
  static thread_local constinit bool is_named = false;
  if (!std::exchange(is_named, true)) name_thread_of_library();
  while (!drain(steady::time_point::max())) {
    if (log_delivery::full())
      interrupt_.wait_for(rest_while_full);
    else if (last_bytes_ >= busy_log_bytes)
      interrupt_.wait_for(log_rest);
  }
}

}  // namespace lenskit::detail
