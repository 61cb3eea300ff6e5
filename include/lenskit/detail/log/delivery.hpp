// The one thread that gives what workers report to the program's loggers, sinks and bars.
//
//     report pipes ── report_reader (whoever looks after the pool) ──► queue ──► delivery thread ──► loggers, bars
//
// Sinks are the user's: they may sleep, wait for a disk, or call the pool whose worker logged. So nobody whom results
// or deadlines wait for calls them; at most, and for a moment, he waits until they have been called.
#pragma once

#include <lenskit/detail/log/log_line.hpp>
#include <lenskit/detail/log/sink_watch.hpp>
#include <lenskit/detail/os/clock.hpp>

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace lenskit::detail {

class log_replay;

/// Where the reports of one worker are delivered.
struct delivery_channel {
  explicit delivery_channel(std::optional<int> worker);
  ~delivery_channel();
  delivery_channel(const delivery_channel&) = delete;
  delivery_channel& operator=(const delivery_channel&) = delete;

  pid_t pid = -1;                            ///< of the worker; set before anything is queued
  std::atomic<std::uint64_t> delivered{0};   ///< reports that are settled: delivered, or known to be lost
  std::atomic<std::uint64_t> awaited{0};     ///< what somebody waits for `delivered` to reach
  const std::unique_ptr<log_replay> replay;  ///< used by whoever delivers
};

/// Gives one item to whom it is for, within a `foreign_call`. The channel is that of the worker that it came from, null
/// for what is the library's own. False if spdlog's registry is busy: then nothing has happened yet, and it is called
/// again. What it throws is swallowed.
using deliver_item = bool (*)(delivery_channel* from, std::string_view body);

/// A line of the library's own.
bool deliver_warning(delivery_channel* from, std::string_view text);
bool deliver_info(delivery_channel* from, std::string_view text);

/// Reports of one worker in their order, one behind the other.
struct delivery_batch {
  struct item {
    deliver_item deliver;  ///< null for what only counts
    std::size_t bytes;
    std::uint64_t reports;  ///< that are settled with it
  };

  void add(deliver_item deliver, std::string_view body, std::uint64_t reports);
  /// What it takes of the queue.
  [[nodiscard]] std::size_t size() const noexcept { return bytes.size() + items.size() * sizeof(item); }

  std::shared_ptr<delivery_channel> channel{};  ///< null for lines of the library's own
  std::string bytes{};
  std::vector<item> items{};
};

/// The queue and its thread, which starts with the first batch, blocks all signals, and is waited for by whoever forks
/// (`foreign_call`). One for the process, and another one for each forked child. Thread-safe.
class log_delivery {
 public:
  /// Throws std::bad_alloc the first time.
  [[nodiscard]] static log_delivery& instance();
  log_delivery() = default;

  /// Takes what is to be delivered. Does not block.
  void post(delivery_batch batch) noexcept;
  /// Delivers here what is queued if there is no thread to be had for it. To be called after `post`, without a lock.
  void help() noexcept;
  /// Says something of the library's own in its turn: for those whom a sink must not hold up. In a worker at once.
  static void say(severity how, std::string_view text) noexcept;
  /// Whether so much is queued that reports had better wait in their pipes. Not while a sink hangs: then workers, whose
  /// tasks have deadlines, must not wait for it.
  [[nodiscard]] static bool full() noexcept;
  /// Whether a report is to be dropped, because a sink hangs and there is no room: the important ones later.
  [[nodiscard]] static bool overflows(bool important) noexcept;

  /// Waits until `count` reports of a worker are delivered, as long as deliveries get on, for half a second at most.
  /// When one has hung for a tenth of a second, nobody waits any more until all that is queued is delivered. Returns at
  /// once when called by a sink.
  void wait_for(delivery_channel& channel, std::uint64_t count) noexcept;
  /// Waits, in the same way, until it is not full; whether it is not.
  [[nodiscard]] bool wait_for_room() noexcept;
  /// Waits, in the same way, for everything that is queued now.
  static void wait_for_all() noexcept;
  /// Waits for everything that is queued now, hang or not; false if it takes longer than until `deadline`.
  static bool finish(steady::time_point deadline) noexcept;

  /// Has the thread run, for bars on a terminal, which it draws again in its time.
  void start() noexcept;
  /// The program ends: delivers for two seconds at most, then nothing any more.
  void end() noexcept;

 private:
  static constexpr std::size_t most_queued_bytes = std::size_t{512} << 10;
  static constexpr std::size_t most_important_bytes = 8 * most_queued_bytes;
  using lock = std::unique_lock<std::mutex>;

  bool wait_until_finished(steady::time_point deadline) noexcept;
  [[nodiscard]] bool hangs() noexcept;
  [[nodiscard]] bool have_thread();  // under the lock
  void run() noexcept;
  void deliver_queued(lock& held) noexcept;
  void deliver(delivery_batch& batch) noexcept;
  [[nodiscard]] steady::time_point redraw(lock& held) noexcept;
  void note_delivered(delivery_channel* channel, std::uint64_t reports) noexcept;
  void note_caught_up() noexcept;
  template <class Done>
  void wait_while_it_gets_on(Done done) noexcept;

  std::mutex mutex_;
  std::condition_variable news_;      // for the thread
  std::condition_variable progress_;  // for those who wait
  std::deque<delivery_batch> queue_{};
  std::uint64_t posted_ = 0;  // batches
  bool delivering_ = false;   // somebody calls sinks
  bool draws_ = false;        // there may be bars to draw again
  std::thread thread_{};
  std::atomic<std::uint64_t> finished_{0};  // batches
  std::atomic<std::uint64_t> items_{0};     // delivered
  std::atomic<int> waiting_for_batches_{0};
  std::atomic<std::size_t> queued_bytes_{0};
  sink_watch sinks_{};
  std::atomic<bool> has_thread_{false};
  std::atomic<bool> ended_{false};
};

}  // namespace lenskit::detail
