// The engine whose workers are threads of this process.
#pragma once

#include <lenskit/detail/dispatch/engine.hpp>
#include <lenskit/detail/engines/local_worker.hpp>
#include <lenskit/detail/os/poller.hpp>

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

namespace lenskit::detail {

/// A running task cannot be stopped: ending the engine waits for it.
class threads_engine final : public worker_engine {
 public:
  /// Each thread works at its own clone of `place`. Throws std::system_error, std::invalid_argument.
  threads_engine(const workplace& place, int workers);
  ~threads_engine() override;

  [[nodiscard]] const engine_traits& traits() const noexcept override { return traits_; }
  [[nodiscard]] int room(int worker) const noexcept override;
  void send(std::span<order> orders) noexcept override;
  [[nodiscard]] std::optional<std::uint32_t> take_back(int worker, std::uint64_t chunk,
                                                       std::uint32_t keep) noexcept override;
  void end_worker(int, ending) noexcept override {}
  [[nodiscard]] worker_view look(int, aspect) const noexcept override { return {}; }
  void report(engine_listener& listener) noexcept override;
  bool wait(manner how, steady::time_point until) override;
  void wake(std::chrono::nanoseconds) noexcept override { wakeup_.raise(); }
  void shut_down() noexcept override;

 private:
  class thread_worker;

  void deliver(std::list<results_event> results) noexcept;

  engine_traits traits_;
  wakeup wakeup_;
  poller poller_;
  std::atomic<bool> starved_{false};  // a worker has results, and no memory to hand them over
  bool rung_ = false;                 // the leader's: it has been woken, and has not looked yet for what
  std::mutex results_mutex_;
  std::list<results_event> results_;
  std::vector<std::unique_ptr<thread_worker>> threads_;
};

}  // namespace lenskit::detail
