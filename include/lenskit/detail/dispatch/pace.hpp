// How much at a time, how far ahead and how patiently: every number of the pool that has a unit of time, and the rules
// that use them.
//
// Waking a process costs more than a small task, so tasks travel in chunks; but what is sent ahead, or lies finished
// and unsent, is late for somebody. The measured times of a call's own tasks settle how much of each.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace lenskit::detail {

/// What is known of the tasks of one map call, and what follows from it. Guarded by the dispatcher's lock.
class task_pace {
 public:
  /// `at_once`: workers that can run at the same time.
  explicit task_pace(std::size_t at_once) noexcept : at_once_(at_once) {}

  /// Takes in how long `count` tasks took and how large their results were.
  void learn(std::uint32_t count, std::int64_t elapsed_ns, std::size_t bytes) noexcept;

  /// Running time of one task, ns; nothing before the first result.
  [[nodiscard]] std::optional<double> task_ns() const noexcept { return task_ns_; }
  /// Bytes of one result, likewise.
  [[nodiscard]] double result_bytes() const noexcept { return result_bytes_; }
  /// How much work to hand out and to send back at once, ns: long against a wake-up, short against a user's patience, a
  /// small part of what has been done, and no more than brings results for one message.
  [[nodiscard]] double grain_ns() const noexcept;
  /// How much work a worker should have before it, ns, so that it never waits for the parent and the parent can rest
  /// for half of it.
  [[nodiscard]] double queue_ns() const noexcept;
  /// A good length of the next chunk; `longest`: what the engine allows, 0 for no limit.
  [[nodiscard]] std::uint32_t chunk_tasks(std::uint32_t longest) const noexcept;
  /// How long it takes until results fill a connection, ns.
  [[nodiscard]] double until_full_ns() const noexcept;

 private:
  std::size_t at_once_;
  std::optional<double> task_ns_;
  double result_bytes_ = 0;
  double worked_ns_ = 0;  // of all tasks settled so far
};

namespace pace {

using std::chrono::nanoseconds;

/// The attendant stands in when no consumer has led for this long. It wakes at this rate while work is outstanding.
constexpr nanoseconds attendant_patience = std::chrono::milliseconds(2);
/// After memory has run out on the attendant's thread it tries again; after so many times in a row it gives up.
constexpr nanoseconds attendant_pause = std::chrono::milliseconds(10);
constexpr int attendant_tries = 100;

/// How long a call waits for whoever uses spdlog's registry, to tell workers the levels of now.
constexpr nanoseconds levels_patience = std::chrono::milliseconds(5);

/// Results that a worker has finished and not sent, because a task keeps it, are fetched when it has been silent for
/// this long.
constexpr nanoseconds harvest_after = std::chrono::milliseconds(4);

/// What a call may hold if its consumer sets no limit: enough for uneven tasks to even out behind a slow one.
constexpr std::size_t window_chunks = 64;  // for each worker
constexpr std::size_t window_bytes = std::size_t{64} << 20;
/// Chunks that a worker has at least, so that it never waits for the next one.
constexpr std::size_t queued_at_least = 2;

/// A worker that has work, runs no task and does not get on in this time has stalled: the library's own code takes
/// microseconds. Two looks, so that a parent that was itself stopped for a while blames nobody.
[[nodiscard]] nanoseconds stall_patience(std::optional<nanoseconds> task_timeout) noexcept;
constexpr int looks_to_stall = 2;
/// A leader that comes back so much later than it meant to was stopped, and probably everybody else was.
constexpr nanoseconds absence = std::chrono::milliseconds(100);

/// A rest that is shorter spares too few wake-ups. One that is longer would be felt where tasks are suddenly shorter
/// than those before them: while the leader rests nobody gives out more.
constexpr nanoseconds shortest_rest = std::chrono::microseconds(100);
constexpr nanoseconds longest_rest = std::chrono::milliseconds(4);
constexpr double results_worth_a_rest = 1.5;  // at least, or it spares nothing

/// What tasks must still cost for it to be worth taking them from their worker for an idle one.
constexpr double worth_moving_ns = 500e3;
/// A worker that has got no further in this time may be in a task that is longer than those before it: what waits
/// behind that is taken from it, whatever it seems to cost. More patiently while no processor is idle: that ends
/// nothing earlier, unless tasks wait for something else than a processor.
constexpr nanoseconds behind_patience = std::chrono::milliseconds(1);
constexpr nanoseconds crowded_patience = std::chrono::milliseconds(5);
constexpr double worth_relieving_ns = 5e6;

}  // namespace pace
}  // namespace lenskit::detail
