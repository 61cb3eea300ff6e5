// Waits for any of a set of descriptors (epoll), each known by a number its owner chose.
#pragma once

#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/os/descriptor.hpp>

#include <cstdint>
#include <span>

namespace lenskit::detail {

enum class interest : std::uint8_t { read, read_and_write };

/// What is ready.
struct readiness {
  std::uint64_t key = 0;
  bool readable = false;  ///< data, end of stream or error: reading will tell
  bool writable = false;
};

/// A set of watched descriptors. Watching and forgetting is safe while another thread waits.
class poller {
 public:
  /// Throws std::system_error.
  poller();
  /// Throws std::system_error.
  void watch(int fd, std::uint64_t key, interest wanted = interest::read);
  /// Changes what is waited for. False if the kernel would not, which leaves it as it was.
  [[nodiscard]] bool change(int fd, std::uint64_t key, interest wanted) noexcept;
  void forget(int fd) noexcept;
  /// Waits until something is ready or `deadline`; returns the ready part of `room`. May return empty before that: when
  /// a signal interrupts it, and after two seconds, so that no thread sleeps for ever on descriptors that the program
  /// has closed. Throws std::system_error when it finds them closed (failure H4).
  [[nodiscard]] std::span<readiness> wait(std::span<readiness> room, steady::time_point deadline) const;
  /// Readable when something in this set is: sets can be nested.
  [[nodiscard]] int fd() const noexcept { return epoll_.get(); }

 private:
  descriptor epoll_;
};

/// A counter that wakes a poller; `raise` is async-signal-safe and never blocks (failure D2).
class wakeup {
 public:
  /// Throws std::system_error.
  wakeup();
  void raise() const noexcept;
  void clear() const noexcept;
  /// Blocks until it is raised, which it then stays, or for `most`, more exactly than a poller.
  void wait_for(std::chrono::nanoseconds most) const noexcept;
  [[nodiscard]] int fd() const noexcept { return event_.get(); }

 private:
  descriptor event_;
};

/// A timer that wakes a poller once.
class bell {
 public:
  /// Throws std::system_error.
  bell();
  void ring_in(std::chrono::nanoseconds delay) const noexcept;
  void clear() const noexcept;
  [[nodiscard]] int fd() const noexcept { return timer_.get(); }

 private:
  descriptor timer_;
};

}  // namespace lenskit::detail
