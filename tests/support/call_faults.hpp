// Faults at system calls of the library that two functions decide on, in this process and in all that it forks.
#pragma once

#include <lenskit/detail/os/system.hpp>

#include <cstddef>
#include <functional>

namespace lenskit::tests {

class call_faults final : public detail::sys::interceptor {
 public:
  /// The errno that a call is to fail with, or 0.
  using failing = std::function<int(detail::sys::call)>;
  /// How much of a transfer may be moved.
  using shortening = std::function<std::size_t(detail::sys::call, std::size_t)>;

  explicit call_faults(failing fails, shortening shortens = {})
      : fails_(std::move(fails)), shortens_(std::move(shortens)) {
    detail::sys::intercept(this);
  }
  ~call_faults() override { detail::sys::intercept(nullptr); }
  call_faults(const call_faults&) = delete;
  call_faults& operator=(const call_faults&) = delete;

  int fail(detail::sys::call which) noexcept override { return fails_ ? fails_(which) : 0; }
  std::size_t shorten(detail::sys::call which, std::size_t bytes) noexcept override {
    return shortens_ ? shortens_(which, bytes) : bytes;
  }

 private:
  failing fails_;
  shortening shortens_;
};

}  // namespace lenskit::tests
