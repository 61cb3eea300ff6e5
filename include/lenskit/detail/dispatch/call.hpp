// One map call as the dispatcher sees it: its tasks' code and seed, and the window of chunks not yet consumed.
#pragma once

#include <lenskit/detail/dispatch/chunk.hpp>
#include <lenskit/detail/share/task_seed.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace lenskit::detail {

enum class result_order { of_input, of_completion };

/// What a map call fixes when it starts.
struct call_plan {
  call_plan(body_id of_tasks, result_order of_results, call_seed of_call)
      : body(of_tasks), order(of_results), seed(std::move(of_call)), seed_words(seed.words()) {}

  body_id body;
  result_order order;
  call_seed seed;
  std::vector<std::uint64_t> seed_words;  ///< `seed` as it travels
};

/// The part of a map call that workers, the dispatcher and the consumer share. Guarded by the dispatcher's lock, but
/// for `plan`.
class call_state {
 public:
  call_state(call_plan fixed, std::size_t n_at_once) : plan(std::move(fixed)), at_once(n_at_once) {}

  const call_plan plan;
  const std::size_t at_once;                               ///< workers of the pool that can run at the same time
  std::map<std::uint64_t, std::shared_ptr<chunk>> window;  ///< by first index: what the consumer has not taken whole
  std::vector<std::shared_ptr<chunk>> ready;               ///< with parts, in order of completion; may repeat
  bool abandoned = false;
  std::size_t waiting = 0;      ///< chunks not given to a worker yet
  std::size_t held_bytes = 0;   ///< arguments and results in the window
  std::uint64_t submitted = 0;  ///< tasks
  std::uint64_t started = 0;    ///< tasks given to a worker, at least once
  std::uint64_t settled = 0;    ///< tasks with an outcome

  /// Running time of one task, ns; nothing before the first result.
  std::optional<double> task_ns;
  /// Bytes of one result, likewise.
  double result_bytes = 0;

  /// Running time of all tasks settled so far, ns.
  double worked_ns = 0;

  /// How much work to hand out and to send back at once, ns: long against a wake-up, short against a user's patience, a
  /// small part of what has been done, and no more than brings results for one message.
  [[nodiscard]] double grain_ns() const noexcept;
  /// How much work a worker should have before it, ns, so that it never waits for the parent and the parent can rest
  /// for half of it.
  [[nodiscard]] double queue_ns() const noexcept;
  /// Takes in how long `count` tasks took and how large their results were.
  void learn(std::uint32_t count, std::int64_t elapsed_ns, std::size_t bytes) noexcept;
  /// Whether the consumer can take something.
  [[nodiscard]] bool has_outcomes() const noexcept;
};

}  // namespace lenskit::detail
