// A fork that does not return.
#pragma once

#include <lenskit/detail/os/descriptor.hpp>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

namespace lenskit::detail {

/// Around a fork of the calling thread: if it takes most of a second, a line on stderr says so, and whose handler
/// (pthread_atfork) it waits for (B5). On stderr, because loggers are kept quiet during a fork. Needs a thread, so it
/// watches only where there are others, which a handler may wait for, and a library that has handlers.
class fork_watch {
 public:
  explicit fork_watch(bool beside_threads) noexcept;
  fork_watch(const fork_watch&) = delete;
  fork_watch& operator=(const fork_watch&) = delete;
  ~fork_watch();
  /// In the child, where the thread does not exist.
  void forget() noexcept;

 private:
  void look() noexcept;

  struct state {
    std::mutex mutex{};
    std::condition_variable ended{};
    bool has_ended = false;
  };
  std::unique_ptr<state> state_;
  descriptor syscall_file_;  // of the thread that forks
  std::thread watcher_;
};

}  // namespace lenskit::detail
