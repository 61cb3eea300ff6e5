// What a worker's death means: for the task that it ran, and for the pool.
#pragma once

#include <lenskit/detail/dispatch/chunk.hpp>
#include <lenskit/detail/dispatch/engine.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

namespace lenskit::detail {

/// Guarded by the dispatcher's lock.
class blame {
 public:
  blame(int workers, int max_retries, std::optional<std::chrono::nanoseconds> task_timeout) noexcept;

  /// A task has succeeded, or failed by itself: what kills workers is not the pool.
  void note_success() noexcept;
  /// Deals with the chunk that a dead worker had in hand: what was finished is settled, and the task that ran is
  /// charged with the death, if it has no further run. `late`: the worker was ended for that task. What is left
  /// unsettled is to be given to others.
  void settle(const std::shared_ptr<chunk>& work, worker_death& death, bool late) noexcept;
  /// Counts a death, after what it had in hand has been settled. `late`: the worker was ended for a late task.
  void count(worker_death& death, bool late) noexcept;
  void count_lost_spawner() noexcept { ++spawners_in_a_row_; }

  /// What it died of, if the pool is to be given up; and made into what callers get. Asks for memory.
  [[nodiscard]] bool hopeless() const noexcept;
  [[nodiscard]] std::exception_ptr verdict() const noexcept;
  [[nodiscard]] std::exception_ptr verdict(const std::string& why) const noexcept;

 private:
  static constexpr std::size_t remembered = 10;

  const int most_deaths_;
  const int max_retries_;
  const std::optional<std::chrono::nanoseconds> task_timeout_;
  int deaths_in_a_row_ = 0;     // without a success in between; those of one task count once (K4)
  int spawners_in_a_row_ = 0;   // likewise
  bool charged_again_ = false;  // the last death settled was not the first of its task
  std::array<std::string, remembered> last_deaths_{};
  std::size_t deaths_ = 0;
};

}  // namespace lenskit::detail
