// The journal: what a worker has in hand, written where it survives the worker.
//
// Each worker has one block of shared memory that only it writes, but for one word, and that the parent reads only
// after the worker's death: no lock, nothing to wait for, nothing two processes write. It costs a worker one to three
// plain stores a task, in place of an acknowledgement over the pipe, and it says exactly which task a dead worker had
// started (W1, W6) and keeps the results that were finished but not yet sent, so that a crash costs one task and not
// one chunk.
#pragma once

#include <lenskit/detail/wire/frame.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace lenskit::detail {

/// One worker's block. Positions count the tasks of the chunk in hand.
struct journal_block {
  static constexpr std::uint32_t no_run = 0xffff'ffff;
  static constexpr std::size_t bytes_in_all = std::size_t{256} << 10;

  std::atomic<std::uint64_t> chunk;     ///< 0 while none is in hand
  std::atomic<std::uint32_t> base;      ///< results before this position have been sent
  std::atomic<std::uint32_t> started;   ///< beyond `finished` while a task runs, which is then the one at `finished`
  std::atomic<std::uint32_t> finished;  ///< tasks whose result is in `results` or has been sent
  std::atomic<std::uint32_t> run_at;    ///< where in `results` the open run of values begins, or no_run
  std::atomic<std::uint32_t> run_position;  ///< position of that run's first task
  std::atomic<std::uint32_t> value_bytes;   ///< of each value of that run, or 0 if `bytes` says where it ends
  std::atomic<std::uint64_t> bytes;         ///< used of `results`
  std::atomic<std::int64_t> started_at;     ///< monotonic ns; kept only where tasks have a deadline
  std::atomic<std::int64_t> chunk_started_at;
  std::atomic<std::int32_t> processor;  ///< where the chunk in hand, or the last one, was begun; -1 if not known
  std::atomic<std::uint32_t> sending;   ///< 1 while results are sent: what `started` says runs then may be over
  std::atomic<std::uint32_t> printing;  ///< 1 while it writes what tasks have printed, however long the reader pauses
  std::atomic<std::uint32_t> ready;     ///< 1 once the worker waits for its first message
  std::atomic<std::uint32_t> news;      ///< the parent's: how often it recalled something or closed the connection
  alignas(64) std::byte results[bytes_in_all - 128];
};
static_assert(sizeof(journal_block) == journal_block::bytes_in_all);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

/// What a dead worker had in hand.
struct last_will {
  std::uint64_t chunk = 0;      ///< 0: it was between chunks
  std::uint32_t base = 0;       ///< position of the first task that `saved` covers
  std::uint32_t finished = 0;   ///< one past the last
  std::uint32_t started = 0;    ///< beyond `finished` if it ran the task there
  byte_buffer saved{};          ///< runs of results
  std::int64_t started_at = 0;  ///< monotonic ns, of the task in hand or of its chunk
};

/// Reads the block of a dead worker, which may hold anything: what makes no sense is left out.
[[nodiscard]] last_will read_last_will(const journal_block& block);

/// The blocks of a pool, shared with every process forked afterwards.
class journal {
 public:
  /// Throws std::system_error.
  explicit journal(int workers);
  ~journal();
  journal(const journal&) = delete;
  journal& operator=(const journal&) = delete;

  [[nodiscard]] journal_block& of(int worker) noexcept { return blocks_[worker]; }
  [[nodiscard]] const journal_block& of(int worker) const noexcept { return blocks_[worker]; }
  /// Makes a block as new, for a replacement. Only while no worker uses it.
  void reset(int worker) noexcept;
  /// In a worker: takes the other workers' blocks out of reach.
  void keep_only(int worker) noexcept;

 private:
  int workers_;
  journal_block* blocks_;
};

}  // namespace lenskit::detail
