// A worker inside this process: runs chunks at its own workplace and keeps the results as messages.
#pragma once

#include <lenskit/detail/dispatch/chunk.hpp>
#include <lenskit/detail/worker/body.hpp>
#include <lenskit/detail/worker/recorder.hpp>

#include <atomic>
#include <functional>
#include <memory>

namespace lenskit::detail {

/// Runs chunks for the engines without processes. One thread at a time.
class local_worker final : private result_sink {
 public:
  /// `deliver` takes each results message, on the thread that runs the chunk.
  local_worker(std::shared_ptr<workplace> place, std::function<void(frame)> deliver);

  /// Runs `work`. Throws nothing.
  void run(const chunk& work) noexcept;
  /// Makes the running chunk come back after the task in hand. Thread-safe.
  void recall(std::uint64_t chunk) noexcept { recalled_.store(chunk, std::memory_order_relaxed); }

 private:
  void deliver(results_head head, std::span<const std::byte> runs, std::vector<descriptor> attached) override;
  [[nodiscard]] bool recalled(std::uint64_t chunk) override {
    return recalled_.load(std::memory_order_relaxed) == chunk;
  }

  std::shared_ptr<workplace> place_;
  std::function<void(frame)> deliver_;
  std::unique_ptr<journal_block> block_;
  recorder recorder_;
  std::atomic<std::uint64_t> recalled_{0};
};

/// The message with which a chunk comes back untouched.
[[nodiscard]] frame returned_message(std::uint64_t chunk, std::uint32_t tasks);

}  // namespace lenskit::detail
