// The engine whose workers are threads of this process.
#pragma once

#include <lenskit/detail/dispatch/engine.hpp>
#include <lenskit/detail/engines/local_worker.hpp>
#include <lenskit/detail/os/poller.hpp>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace lenskit::detail {

/// A running task cannot be stopped: ending the engine waits for it.
class threads_engine final : public worker_engine {
 public:
  /// Each thread works at its own clone of `place`. Throws std::system_error, std::invalid_argument.
  threads_engine(const workplace& place, int workers);
  ~threads_engine() override;

  [[nodiscard]] int workers() const noexcept override { return static_cast<int>(threads_.size()); }
  [[nodiscard]] int depth() const noexcept override;
  [[nodiscard]] std::uint32_t longest_chunk() const noexcept override { return 0; }
  [[nodiscard]] bool usable(int) const noexcept override { return true; }
  void send(int worker, std::shared_ptr<chunk> work) noexcept override;
  void recall(int worker, std::uint64_t chunk) noexcept override;
  void end_worker(int) noexcept override {}
  [[nodiscard]] std::optional<task_in_hand> in_hand(int) const noexcept override { return std::nullopt; }
  void report(engine_listener& listener) override;
  void wait(steady::time_point deadline, bool attending) override;
  void interrupt() noexcept override { wakeup_.raise(); }
  [[nodiscard]] bool runs_here() const noexcept override;
  void shut_down() noexcept override;

 private:
  struct thread_worker;

  void deliver(int worker, frame message);

  wakeup wakeup_;
  poller poller_;
  std::mutex messages_mutex_;
  std::vector<std::pair<int, frame>> messages_;
  std::vector<std::unique_ptr<thread_worker>> threads_;
};

}  // namespace lenskit::detail
