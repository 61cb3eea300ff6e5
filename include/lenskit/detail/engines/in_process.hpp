// The engine without workers: the consumer that waits runs the next task itself.
#pragma once

#include <lenskit/detail/dispatch/engine.hpp>
#include <lenskit/detail/engines/local_worker.hpp>

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <optional>

namespace lenskit::detail {

/// Runs one task at a time and none before its result is wanted.
class in_process_engine final : public worker_engine {
 public:
  explicit in_process_engine(std::shared_ptr<workplace> place);

  [[nodiscard]] const engine_traits& traits() const noexcept override { return traits_; }
  [[nodiscard]] int room(int worker) const noexcept override;
  void send(std::span<order> orders) noexcept override;
  [[nodiscard]] std::optional<std::uint32_t> take_back(int worker, std::uint64_t chunk,
                                                       std::uint32_t keep) noexcept override;
  void end_worker(int, ending) noexcept override {}
  [[nodiscard]] worker_view look(int, aspect) const noexcept override { return {}; }
  void report(engine_listener& listener) noexcept override;
  bool wait(manner how, steady::time_point until) override;
  void wake(std::chrono::nanoseconds) noexcept override {}
  void shut_down() noexcept override { worker_.leave_place(); }

 private:
  const engine_traits traits_{.longest_chunk = 1, .deals_ahead = false};
  local_worker worker_;
  struct running {
    std::uint64_t chunk = 0;  // 0: none
    std::uint32_t number = 0;
    std::uint32_t count = 0;
  };

  std::mutex mutex_;                // of what follows: a leader may be on its way while a consumer gives up
  std::optional<assignment> work_;  // sent, not yet begun
  running running_{};
  std::atomic<bool> full_{false};  // whether there is any
  std::list<results_event> results_;
};

}  // namespace lenskit::detail
