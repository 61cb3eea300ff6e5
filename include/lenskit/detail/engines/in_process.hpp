// The engine without workers: the consumer that waits runs the next task itself.
#pragma once

#include <lenskit/detail/dispatch/engine.hpp>
#include <lenskit/detail/engines/local_worker.hpp>

#include <mutex>
#include <thread>
#include <vector>

namespace lenskit::detail {

/// Runs one task at a time and none before its result is wanted.
class in_process_engine final : public worker_engine {
 public:
  explicit in_process_engine(std::shared_ptr<workplace> place);

  [[nodiscard]] int workers() const noexcept override { return 1; }
  [[nodiscard]] int depth() const noexcept override { return 1; }
  [[nodiscard]] std::uint32_t longest_chunk() const noexcept override { return 1; }
  [[nodiscard]] bool usable(int) const noexcept override { return true; }
  void send(int, std::shared_ptr<chunk> work) noexcept override;
  void recall(int, std::uint64_t chunk) noexcept override;
  void end_worker(int) noexcept override {}
  [[nodiscard]] std::optional<task_in_hand> in_hand(int) const noexcept override { return std::nullopt; }
  void report(engine_listener& listener) override;
  void wait(steady::time_point deadline, bool attending) override;
  void interrupt() noexcept override {}
  [[nodiscard]] bool runs_here() const noexcept override { return runner_.load() == std::this_thread::get_id(); }
  void shut_down() noexcept override {}

 private:
  local_worker worker_;
  std::mutex mutex_;             // of the next two: a leader may be on its way while a consumer gives up
  std::shared_ptr<chunk> work_;  // sent, not yet begun
  std::vector<frame> messages_;
  std::atomic<std::thread::id> runner_{};
};

}  // namespace lenskit::detail
