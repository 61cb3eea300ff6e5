// The journal: what a worker has in hand, written where it survives the worker.
//
// Each worker has one block of shared memory. The worker writes it; the parent takes from it after the worker's death
// which task had been started (W1, W6) and what was finished but not yet sent, so that a crash costs one task and not
// one chunk. Both write the claims (claim.hpp), by which the parent takes back what has not begun. It costs a worker
// one to three plain stores a task, in place of an acknowledgement over the pipe, and there is no lock in it and
// nothing to wait for. What the parent reads of a living worker it checks against what it knows: a worker that writes
// nonsense harms itself.
#pragma once

#include <lenskit/detail/wire/frame.hpp>
#include <lenskit/detail/worker/claim.hpp>
#include <lenskit/detail/worker/written_runs.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace lenskit::detail {

/// One worker's block. Positions count the tasks of the chunk in hand.
struct journal_block {
  static constexpr std::size_t bytes_in_all = std::size_t{256} << 10;
  /// Chunks that may be on their way to a worker or in its hands, those included that have been taken back and that it
  /// has not come to.
  static constexpr std::uint32_t most_claims = 64;
  static constexpr std::size_t head_bytes = 128 + most_claims * sizeof(claim);

  std::atomic<std::uint64_t> chunk;      ///< 0 while none is in hand
  std::atomic<std::uint32_t> claim_at;   ///< of the chunk in hand, in `claims`; its `finished`: results that are in
                                         ///< `results` or have been sent
  std::atomic<std::uint32_t> passed;     ///< chunks that the worker has left behind
  std::atomic<std::uint32_t> base;       ///< results before this position have been sent
  std::atomic<std::uint32_t> started;    ///< beyond `finished` while a task runs, which is then the one at `finished`
  written_runs runs;                     ///< in `results`
  std::atomic<std::int64_t> started_at;  ///< monotonic ns; kept only where tasks have a deadline
  std::atomic<std::int64_t> chunk_started_at;
  std::atomic<std::int32_t> processor;  ///< where the chunk in hand, or the last one, was begun; -1 if not known
  std::atomic<std::uint32_t> sending;   ///< 1 while results are sent: what `started` says runs then may be over
  std::atomic<std::uint32_t> held_up;   ///< 1 while it waits for who reads what tasks have printed or logged (K2)
  std::atomic<std::uint32_t> ready;     ///< 1 once the worker waits for its first message
  alignas(64) claim claims[most_claims];
  alignas(64) std::byte results[bytes_in_all - head_bytes];

  [[nodiscard]] claim& claim_of(std::uint32_t number) noexcept { return claims[number % most_claims]; }
  [[nodiscard]] claim& claim_in_hand() noexcept { return claim_of(claim_at.load(std::memory_order_acquire)); }
  [[nodiscard]] const claim& claim_in_hand() const noexcept {
    return claims[claim_at.load(std::memory_order_acquire) % most_claims];
  }
  /// Makes it as new, for another worker. Only while none uses it.
  void reset() noexcept;
};
static_assert(sizeof(journal_block) == journal_block::bytes_in_all);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

/// What a dead worker had in hand.
struct last_will {
  std::uint64_t chunk = 0;      ///< 0: it was between chunks
  std::uint32_t base = 0;       ///< position of the first task that `saved` covers
  std::uint32_t finished = 0;   ///< one past the last
  std::uint32_t started = 0;    ///< beyond `finished` if it ran the task there
  std::uint32_t owned = 0;      ///< tasks from here on had been taken back
  byte_buffer saved{};          ///< runs of results
  std::int64_t started_at = 0;  ///< monotonic ns, of the task in hand or of its chunk
};

/// Reads the block of a dead worker, which may hold anything: what makes no sense is left out. Throws std::bad_alloc.
[[nodiscard]] last_will read_last_will(const journal_block& block);

/// The same of a living worker, for results that it has finished and not sent, because a task keeps it. Nothing if
/// there are none, or the worker has gone on meanwhile. Throws std::bad_alloc.
[[nodiscard]] std::optional<last_will> read_unsent(const journal_block& block);

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
  /// In a worker: takes the other workers' blocks out of reach.
  void keep_only(int worker) noexcept;

 private:
  int workers_;
  journal_block* blocks_;
};

}  // namespace lenskit::detail
