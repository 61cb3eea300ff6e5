// A worker inside this process: runs chunks at its own workplace and keeps the results as events.
#pragma once

#include <lenskit/detail/dispatch/engine.hpp>
#include <lenskit/detail/worker/body.hpp>
#include <lenskit/detail/worker/recorder.hpp>

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>

namespace lenskit::detail {

/// Runs chunks for the engines without processes. `run` on one thread at a time; the others are the caller's, on any.
class local_worker final : private result_sink {
 public:
  using receiver = std::function<void(std::list<results_event>)>;

  /// `deliver` takes the results, on the thread that runs the chunk; it must not throw. An empty list says that they
  /// have to wait for memory. Throws std::bad_alloc.
  local_worker(int index, std::shared_ptr<workplace> place, receiver deliver);

  /// Takes note of a chunk to come, in the order of `run`; returns the number of its claim.
  [[nodiscard]] std::uint32_t expect(const assignment& work) noexcept;
  /// How many more chunks it can expect now.
  [[nodiscard]] std::uint32_t room() const noexcept;
  /// See `worker_engine::take_back`.
  [[nodiscard]] std::uint32_t take_back(std::uint32_t number, std::uint32_t count, std::uint32_t keep) noexcept;
  /// What the running task keeps back; see `harvest`.
  [[nodiscard]] std::list<results_event> unsent();
  /// Makes what the failure of the next results takes, if it is not there yet. Throws std::bad_alloc.
  void prepare() {
    if (spare_.empty()) spare_ = make_results_event();
  }
  /// Runs a chunk. Throws nothing.
  void run(const assignment& work, std::uint32_t number) noexcept;
  /// Behind the last `run`: destroys the function and what it holds, on the thread that called it (V3).
  void leave_place() noexcept { place_.reset(); }

 private:
  void deliver(results_head head, std::span<const std::byte> runs, std::vector<descriptor> attached) override;
  void lose(const results_head& head) noexcept;
  void hand_over(std::list<results_event>& made);

  const int index_;
  std::shared_ptr<workplace> place_;
  receiver deliver_;
  std::unique_ptr<journal_block> block_;
  std::mutex sending_;
  std::list<results_event> spare_;   // so that results which there is no memory for can be called lost
  std::list<results_event> lost_{};  // those that were, in a row
  recorder recorder_;
  std::uint32_t expected_ = 0;
};

}  // namespace lenskit::detail
