// The recorder: takes a worker through the tasks of one chunk and brings their results on the way.
#pragma once

#include <lenskit/detail/log/report_writer.hpp>
#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/share/task_seed.hpp>
#include <lenskit/detail/wire/exception.hpp>
#include <lenskit/detail/wire/message.hpp>
#include <lenskit/detail/wire/traits.hpp>
#include <lenskit/detail/wire/writer.hpp>
#include <lenskit/detail/worker/clock_stride.hpp>
#include <lenskit/detail/worker/journal.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <type_traits>
#include <vector>

namespace lenskit::detail {

/// Where results go from a worker.
class result_sink {
 public:
  virtual ~result_sink() = default;
  /// Takes some results; `head.reports` is the sink's to fill in.
  virtual void deliver(results_head head, std::span<const std::byte> runs, std::vector<descriptor> attached) = 0;
};

/// Where a recorder is.
struct recorder_options {
  /// Whether this process is a worker: then results may carry descriptors, and a fork of it that returns from a task
  /// ends there.
  bool in_worker_process = false;
  /// Whether the worker sees to memory barriers by itself, at each task: the parent cannot.
  bool fenced = false;
  /// Held while results are sent and their room is used again, if there is one: for a reader in the same process.
  std::mutex* sending = nullptr;
};

/// Used by the worker's thread only. Reused from chunk to chunk without allocating.
class recorder {
 public:
  /// Results are first written to `block`, which may be shared with the parent.
  recorder(journal_block& block, result_sink& sink, recorder_options options);

  /// Notes that the worker waits for its first chunk.
  void be_ready() noexcept { block_.ready.store(1, std::memory_order_release); }

  /// Starts a chunk. `seed` must outlive it.
  void begin(const tasks_head& chunk, const call_seed& seed);

  /// Starts the next task; false if there is none, or the rest was taken back.
  [[nodiscard]] bool next() {
    if (hand_.at_end()) return false;
    if (stride_.is_over()) look_at_clock();
    if (!hand_.claimed->may_begin(hand_.position, options_.fenced)) [[unlikely]] {
      hand_.cut();
      return false;
    }
    if (hand_.keeps_time) block_.started_at.store(now_ns(), std::memory_order_relaxed);
    block_.started.store(hand_.position + 1, std::memory_order_release);
    set_task(*hand_.seed, hand_.first_index + hand_.position);
    return true;
  }

  /// Records the value of the task that `next` started; `encode(writer&)` writes it. A value that cannot be encoded
  /// is recorded as serialization_error.
  template <class Encode>
  void value(Encode&& encode) {
    leave_if_forked();
    if (!run_.is_open()) open_run();
    const auto before = results_.size();
    try {
      encode(results_);
    } catch (...) {
      results_.resize_down(before);
      unencodable();
      return;
    }
    complete_task();
  }

  /// Starts tasks and records what `task()` returns for them, as `next` and `value` do, for as long as there is nothing
  /// else to do between them: neither the clock nor results are due. For values that are their bytes. A task that
  /// throws is recorded and the last.
  template <class Task>
  void run_on(Task&& task) {
    using result = std::invoke_result_t<Task&>;
    static_assert(wire_bitwise<result>);
    const auto most = values_ahead(sizeof(result));
    if (most == 0) return;
    auto* into = open_row(most, sizeof(result));
    // Whatever a task does to memory, these stay in registers.
    auto& claimed = *hand_.claimed;
    auto position = hand_.position;
    const auto behind = position + most;
    auto index = hand_.first_index + position;
    try {
      while (position != behind) {
        if (!claimed.may_begin(position, false)) [[unlikely]] {
          hand_.count = position;
          break;
        }
        go_to_task(index++);
        const result value = task();
        leave_if_forked();
        std::memcpy(into, std::addressof(value), sizeof value);
        into += sizeof value;
        claimed.finished.store(++position, std::memory_order_release);
      }
      close_row(position, position, (behind - position) * sizeof(result));
    } catch (...) {
      close_row(position, position + 1, (behind - position) * sizeof(result));
      failure(std::current_exception());
    }
  }

  /// Records that the task threw.
  void failure(std::exception_ptr thrown);

  /// Ends the chunk and sends what is left of it.
  void finish();

 private:
  // What is left of the chunk to run and to send.
  struct chunk_in_hand {
    claim* claimed = nullptr;
    const call_seed* seed = nullptr;
    std::uint64_t chunk = 0;
    std::uint64_t first_index = 0;
    std::uint32_t count = 0;
    std::uint32_t position = 0;  // of the task in hand, or the next one
    std::uint32_t base = 0;      // first position not sent
    bool keeps_time = false;

    [[nodiscard]] bool at_end() const noexcept { return position == count; }
    [[nodiscard]] std::uint32_t unsent() const noexcept { return position - base; }
    void cut() noexcept { count = position; }  // the rest has been taken back
  };
  // The run that values are added to.
  struct open_values {
    std::uint32_t at = seen_runs::none;  // in the results
    std::uint32_t position = 0;          // of its first task

    [[nodiscard]] bool is_open() const noexcept { return at != seen_runs::none; }
  };

  // How many tasks may run in a row, each with a value of so many bytes, with nothing else to do between them.
  [[nodiscard]] std::uint32_t values_ahead(std::size_t value_bytes) const noexcept {
    const auto wanted = std::min(hand_.count - hand_.position, stride_.left());
    const auto used = results_.size() + (run_.is_open() ? 0 : sizeof(run_head));
    if (hand_.keeps_time || options_.fenced || results_.spilled() || used > send_above) return 0;
    return static_cast<std::uint32_t>(std::min<std::size_t>(wanted, (send_above - used) / value_bytes));
  }
  // Begins such a row; returns where the values go. What the parent has to know of its tasks is told by one number, the
  // claim's `finished`.
  [[nodiscard]] std::byte* open_row(std::uint32_t tasks, std::size_t value_bytes) {
    if (!run_.is_open()) open_run();
    set_task(*hand_.seed, hand_.first_index + hand_.position);
    block_.runs.value_bytes.store(static_cast<std::uint32_t>(value_bytes), std::memory_order_relaxed);
    block_.started.store(hand_.position + tasks, std::memory_order_release);
    return results_.extend(tasks * value_bytes);
  }
  // The tasks before `started` were started, those before `position` have values, and `unused` bytes have none.
  void close_row(std::uint32_t position, std::uint32_t started, std::size_t unused) noexcept {
    stride_.advance(started - hand_.position);
    hand_.position = position;
    results_.resize_down(results_.size() - unused);
    block_.runs.bytes.store(results_.size(), std::memory_order_release);
    block_.started.store(started, std::memory_order_release);
  }
  [[nodiscard]] std::unique_lock<std::mutex> keep_reader_out();
  void open_run();
  void close_run() noexcept;
  void complete_task() {
    ++hand_.position;
    // The journal keeps no descriptors: a value that has some is sent at once, alone with them, or a crash would take
    // it along (X1).
    if (results_.spilled() || results_.size() > send_above || results_.has_attachments()) [[unlikely]] {
      send();
      return;
    }
    block_.runs.bytes.store(results_.size(), std::memory_order_release);
    hand_.claimed->finished.store(hand_.position, std::memory_order_release);
  }
  void unencodable();
  // A process that a task forked and that came back as well is not the worker: it must not write to the journal, which
  // it shares with the worker, nor go on to the tasks behind this one.
  void leave_if_forked() const noexcept {
    if (reports_for_another()) [[unlikely]]
      leave_fork();
  }
  void leave_fork() const noexcept;
  void look_at_clock();
  void send();

  // A little below the block's room, so that small results never leave it.
  static constexpr std::size_t send_above = sizeof(journal_block::results) - 4096;

  journal_block& block_;
  result_sink& sink_;
  const recorder_options options_;
  writer results_;
  chunk_in_hand hand_;
  open_values run_;
  clock_stride stride_;
  std::int64_t send_every_ns_ = 0;
  std::int64_t sent_at_ = 0;
};

}  // namespace lenskit::detail
