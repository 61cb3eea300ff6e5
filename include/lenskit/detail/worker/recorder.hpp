// The recorder: takes a worker through the tasks of one chunk and brings their results on the way.
#pragma once

#include <lenskit/detail/log/report_writer.hpp>
#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/share/task_seed.hpp>
#include <lenskit/detail/wire/exception.hpp>
#include <lenskit/detail/wire/message.hpp>
#include <lenskit/detail/wire/traits.hpp>
#include <lenskit/detail/wire/writer.hpp>
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
    if (position_ == count_) return false;
    if (--until_look_ == 0) look_up();
    if (!claim_->may_begin(position_, options_.fenced)) [[unlikely]] {
      count_ = position_;
      return false;
    }
    if (keeps_time_) block_.started_at.store(now_ns(), std::memory_order_relaxed);
    block_.started.store(position_ + 1, std::memory_order_release);
    set_task(*seed_, first_index_ + position_);
    return true;
  }

  /// Records the value of the task that `next` started; `encode(writer&)` writes it. A value that cannot be encoded
  /// is recorded as serialization_error.
  template <class Encode>
  void value(Encode&& encode) {
    leave_if_forked();
    if (run_at_ == journal_block::no_run) open_run();
    const auto before = results_.size();
    try {
      encode(results_);
    } catch (...) {
      results_.resize_down(before);
      unencodable();
      return;
    }
    settle();
  }

  /// Starts tasks and records what `task()` returns for them, as `next` and `value` do, for as long as there is nothing
  /// else to do between them: neither the clock nor results are due. For values that are their bytes. A task that
  /// throws is recorded and the last.
  template <class Task>
  void run_on(Task&& task) {
    using result = std::invoke_result_t<Task&>;
    static_assert(wire_bitwise<result>);
    const auto first = position_;
    const auto wanted = std::min(count_ - first, until_look_ - 1);
    const bool fits = !results_.spilled() && results_.size() + sizeof(run_head) + sizeof(result) <= send_above;
    if (keeps_time_ || options_.fenced || wanted == 0 || !fits) return;
    if (run_at_ == journal_block::no_run) open_run();
    const auto before = results_.size();
    const auto behind =
        first + static_cast<std::uint32_t>(std::min<std::size_t>(wanted, (send_above - before) / sizeof(result)));
    // Whatever a task does to memory, these stay in registers.
    auto& block = block_;
    auto& claimed = *claim_;
    auto position = first;
    auto index = first_index_ + first;
    auto* into = results_.extend((behind - first) * sizeof(result));
    const auto settle_all = [&](std::uint32_t started) {
      until_look_ -= started - first;
      position_ = position;
      results_.resize_down(before + (position - first) * sizeof(result));
      block.bytes.store(results_.size(), std::memory_order_release);
      block.started.store(started, std::memory_order_release);
    };
    // What the parent has to know of these tasks is told by one number, `finished`.
    set_task(*seed_, index);
    block.value_bytes.store(sizeof(result), std::memory_order_relaxed);
    block.started.store(behind, std::memory_order_release);
    try {
      while (position != behind) {
        if (!claimed.may_begin(position, false)) [[unlikely]] {
          count_ = position;
          break;
        }
        go_to_task(index++);
        const result value = task();
        leave_if_forked();
        std::memcpy(into, std::addressof(value), sizeof value);
        into += sizeof value;
        claimed.finished.store(++position, std::memory_order_release);
      }
      settle_all(position);
    } catch (...) {
      settle_all(position + 1);
      failure(std::current_exception());
    }
  }

  /// Records that the task threw.
  void failure(std::exception_ptr thrown);

  /// Ends the chunk and sends what is left of it.
  void finish();

 private:
  [[nodiscard]] std::unique_lock<std::mutex> keep_reader_out();
  void open_run();
  void close_run() noexcept;
  void settle() {
    ++position_;
    // The journal keeps no descriptors: a value that has some is sent at once, alone with them, or a crash would take
    // it along (X1).
    if (results_.spilled() || results_.size() > send_above || results_.has_attachments()) [[unlikely]] {
      send();
      return;
    }
    block_.bytes.store(results_.size(), std::memory_order_release);
    claim_->finished.store(position_, std::memory_order_release);
  }
  void unencodable();
  // A process that a task forked and that came back as well is not the worker: it must not write to the journal, which
  // it shares with the worker, nor go on to the tasks behind this one.
  void leave_if_forked() const noexcept {
    if (reports_for_another()) [[unlikely]]
      leave_fork();
  }
  void leave_fork() const noexcept;
  void look_up();
  void send();

  // A little below the block's room, so that small results never leave it.
  static constexpr std::size_t send_above = sizeof(journal_block::results) - 4096;

  journal_block& block_;
  result_sink& sink_;
  const recorder_options options_;
  claim* claim_ = nullptr;  // on the chunk in hand
  writer results_;
  const call_seed* seed_ = nullptr;
  std::uint64_t chunk_ = 0;
  std::uint64_t first_index_ = 0;
  std::uint32_t count_ = 0;
  std::uint32_t position_ = 0;  // of the task in hand, or the next one
  std::uint32_t base_ = 0;      // first position not sent
  std::uint32_t run_at_ = journal_block::no_run;
  std::uint32_t run_position_ = 0;
  std::uint32_t until_look_ = 1;  // tasks until the clock is looked at again
  std::uint32_t stride_ = 1;
  bool keeps_time_ = false;
  std::int64_t send_every_ns_ = 0;
  std::int64_t sent_at_ = 0;
  std::int64_t looked_at_ = 0;
};

}  // namespace lenskit::detail
