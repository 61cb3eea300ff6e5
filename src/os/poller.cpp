#include <lenskit/detail/os/errors.hpp>
#include <lenskit/detail/os/poller.hpp>
#include <lenskit/detail/os/system.hpp>

#include <algorithm>
#include <array>
#include <cerrno>

namespace lenskit::detail {
namespace {

epoll_event event_for(std::uint64_t key, interest wanted) noexcept {
  epoll_event event{};
  event.events = wanted == interest::read ? std::uint32_t{EPOLLIN} : std::uint32_t{EPOLLIN} | std::uint32_t{EPOLLOUT};
  event.data.u64 = key;
  return event;
}

// A thread that waits is not woken when somebody closes what it waits for, nor what would wake it.
constexpr int longest_wait_ms = 2000;

int bounded_wait(steady::time_point deadline) noexcept {
  const int wanted = milliseconds_until(deadline);
  return wanted < 0 ? longest_wait_ms : std::min(wanted, longest_wait_ms);
}

}  // namespace

poller::poller() {
  const auto gate = descriptor_gate();
  epoll_ = descriptor(sys::epoll_create());
  if (!epoll_) throw_errno("cannot create a poller");
}

void poller::watch(int fd, std::uint64_t key, interest wanted) {
  auto event = event_for(key, wanted);
  if (sys::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, event) != 0) throw_errno("cannot watch a descriptor");
}

bool poller::change(int fd, std::uint64_t key, interest wanted) noexcept {
  auto event = event_for(key, wanted);
  return sys::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, event) == 0;
}

void poller::forget(int fd) noexcept {
  epoll_event unused{};
  sys::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, unused);
}

std::span<readiness> poller::wait(std::span<readiness> room, steady::time_point deadline) const {
  constexpr std::size_t most = 64;
  std::array<epoll_event, most> events;
  const auto capacity = static_cast<int>(std::min(room.size(), most));
  const int count = sys::epoll_wait(epoll_.get(), events.data(), capacity, bounded_wait(deadline));
  // Neither a descriptor nor a poller any more: this was closed by somebody else, and nothing would ever be ready.
  if (count < 0 && (errno == EBADF || errno == EINVAL))
    throw_errno("cannot wait for workers, since the program has closed descriptors of this library");
  if (count <= 0) return {};
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const auto bits = events[i].events;
    room[i] = {events[i].data.u64, (bits & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0, (bits & EPOLLOUT) != 0};
  }
  return room.first(static_cast<std::size_t>(count));
}

wakeup::wakeup() {
  const auto gate = descriptor_gate();
  event_ = descriptor(sys::eventfd());
  if (!event_) throw_errno("cannot create a wake-up event");
}

void wakeup::raise() const noexcept {
  const std::uint64_t one = 1;
  // Full means that it is raised already. Anything else cannot be, but a lost wake-up would be a hang: once more.
  constexpr int attempts = 3;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    const auto written = sys::retry([&]() noexcept { return sys::write(event_.get(), &one, sizeof one); });
    if (written == sizeof one || sys::would_block()) return;
  }
}

void wakeup::clear() const noexcept {
  std::uint64_t count = 0;
  sys::retry([&]() noexcept { return sys::read(event_.get(), &count, sizeof count); });
}

void wakeup::wait_for(std::chrono::nanoseconds most) const noexcept {
  pollfd raised{event_.get(), POLLIN, 0};
  sys::poll(&raised, 1, most);
}

bell::bell() {
  const auto gate = descriptor_gate();
  timer_ = descriptor(sys::timerfd());
  if (!timer_) throw_errno("cannot create a timer");
}

void bell::ring_in(std::chrono::nanoseconds delay) const noexcept {
  sys::timerfd_settime(timer_.get(), std::max<std::int64_t>(delay.count(), 1));
}

void bell::clear() const noexcept {
  std::uint64_t count = 0;
  sys::retry([&]() noexcept { return sys::read(timer_.get(), &count, sizeof count); });
}

}  // namespace lenskit::detail
