// Faults at exact points of the protocol between a pool and its workers.
#pragma once

#include <lenskit/detail/os/system.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <string_view>

namespace lenskit::soak {

/// Where a worker is broken, in the order in which it comes by.
enum class point {
  forked,           ///< as soon as the process exists
  ready,            ///< before it waits for its first message
  argument_header,  ///< half of a message's header received
  argument_body,    ///< the header received, and a few bytes
  acknowledged,     ///< the chunk noted, no task of it started
  run,              ///< in the task
  encode,           ///< while the result is encoded
  result_header,    ///< half of a header sent
  result_body,      ///< half of the result sent
  log,              ///< on the way to the log pipe
  leaving,          ///< when the pool is over
};

enum class fault { segv, abort, kill, stop, exit_0, exit_3, raise, sleep, close_descriptors };

inline constexpr std::array<std::string_view, 11> point_names{
    "forked", "ready",         "argument_header", "argument_body", "acknowledged", "run",
    "encode", "result_header", "result_body",     "log",           "leaving"};
inline constexpr std::array<std::string_view, 9> fault_names{
    "segv", "abort", "kill", "stop", "exit_0", "exit_3", "throw", "sleep", "close_descriptors"};

/// Does `what` to the calling process, or returns having closed its descriptors. `raise` throws.
void commit(fault what);

/// Breaks the first worker that comes by a point, once for all processes that share it. Installed while it lives.
class kill_point final : public detail::sys::interceptor {
 public:
  /// `payload`: bytes of one result.
  kill_point(point where, fault what, std::size_t payload);
  ~kill_point() override;
  kill_point(const kill_point&) = delete;
  kill_point& operator=(const kill_point&) = delete;

  /// For the points that are in the hands of the task: run and encode.
  void pass(point here);
  /// Whether it has happened.
  [[nodiscard]] bool fired() const noexcept { return fired_->load(); }

  int fail(detail::sys::call which) noexcept override;
  std::size_t shorten(detail::sys::call which, std::size_t bytes) noexcept override;
  void reach(detail::sys::moment which) override;

 private:
  const point where_;
  const fault what_;
  const std::size_t payload_;
  std::atomic<bool>* fired_;  // shared with the workers
  bool in_worker_ = false;
  bool cut_ = false;  // the transfer before this one was cut short
};

}  // namespace lenskit::soak
