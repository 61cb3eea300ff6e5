// Faults at exact system calls of the library.
#pragma once

#include <lenskit/detail/os/system.hpp>

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <functional>

namespace lenskit::tests {

/// Counts the calls of the library and does `at` at the one that `which` names, from 1: the errno it returns is what
/// the call fails with.
class fault_at final : public detail::sys::interceptor {
 public:
  fault_at(int which, std::function<int()> at) : which_(which), at_(std::move(at)) { detail::sys::intercept(this); }
  ~fault_at() override { detail::sys::intercept(nullptr); }
  fault_at(const fault_at&) = delete;
  fault_at& operator=(const fault_at&) = delete;
  int fail(detail::sys::call) noexcept override { return ++calls_ == which_ ? at_() : 0; }
  /// Whether that many calls were made at all.
  [[nodiscard]] bool reached() const noexcept { return calls_ >= which_; }

 private:
  std::atomic<int> calls_{0};
  int which_;
  std::function<int()> at_;
};

/// Kills this process: for a disposable child.
inline int kill_this_process() {
  ::kill(::getpid(), SIGKILL);
  return 0;
}

/// Interrupts every second call that may be, and lets a transfer move a few bytes only.
class constant_trouble final : public detail::sys::interceptor {
 public:
  explicit constant_trouble(std::size_t most) : most_(most) { detail::sys::intercept(this); }
  ~constant_trouble() override { detail::sys::intercept(nullptr); }
  constant_trouble(const constant_trouble&) = delete;
  constant_trouble& operator=(const constant_trouble&) = delete;
  int fail(detail::sys::call which) noexcept override {
    using detail::sys::call;
    const bool interruptible = which == call::pwrite || which == call::fallocate || which == call::ftruncate ||
                               which == call::open || which == call::openat || which == call::flock ||
                               which == call::fsync || which == call::read;
    return interruptible && calls_++ % 2 == 0 ? EINTR : 0;
  }
  std::size_t shorten(detail::sys::call, std::size_t bytes) noexcept override { return bytes < most_ ? bytes : most_; }

 private:
  std::atomic<unsigned> calls_{0};
  std::size_t most_;
};

}  // namespace lenskit::tests
