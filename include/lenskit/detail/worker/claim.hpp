// Which tasks of a chunk are the worker's: claimed by it as it begins them, taken back by the caller, whenever that
// likes and without the worker's help.
//
//     worker, before task p                       caller
//       finished := p    "p begins"                 limit := asking
//       (full barrier)                              (full barrier on both sides)
//       p < limit ? run p : look closer             begun := finished + 1
//                                                   limit: asking -> max(begun, kept), or what the worker made of it
//
// Either the caller sees that task p has begun, or the worker sees that it is asked; then one atomic operation decides,
// and both abide by it. So each task is run or taken back, never both (K1, K3), and neither side waits for the other.
// The protocol is modelled in tests/models/claims.pml.
//
// A worker begins a task every few nanoseconds, the caller takes back now and then, so the barrier is the caller's: it
// makes every worker pass one (os/barrier.hpp). Where the kernel cannot do that the worker pays for one at each task.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace lenskit::detail {

/// The claim on one chunk, in memory that worker and caller share. Positions count the tasks of the chunk.
struct claim {
  static constexpr std::int32_t asking = -1;                ///< a `limit`: the caller is about to take back
  static constexpr std::uint32_t not_begun = 0xffff'ffff;   ///< a `finished`: one before the first task
  static constexpr std::uint32_t most_tasks = 0x7fff'fff0;  ///< that one chunk may have
  static constexpr std::int32_t ended_at(std::uint32_t p) { return -2 - static_cast<std::int32_t>(p); }

  std::atomic<std::int32_t> limit{0};              ///< tasks from here on are not the worker's; negative: see above
  std::atomic<std::uint32_t> finished{not_begun};  ///< the worker's: tasks done, so the one that runs or is next

  /// Caller, before the chunk sets out.
  void open(std::uint32_t count) noexcept {
    finished.store(not_begun, std::memory_order_relaxed);
    limit.store(static_cast<std::int32_t>(count), std::memory_order_release);
  }

  /// Worker, after it has noted in `finished` that task `p` begins: whether it may. `fenced`: it has to see to the
  /// barrier itself. If not, the tasks from `p` on are somebody else's for good.
  [[nodiscard]] bool may_begin(std::uint32_t p, bool fenced) noexcept {
    if (fenced) [[unlikely]] {
      // An exchange rather than a fence, which the thread sanitizer does not know.
      finished.exchange(p, std::memory_order_seq_cst);
      if (static_cast<std::int32_t>(p) < limit.load(std::memory_order_seq_cst)) return true;
    } else {
      std::atomic_signal_fence(std::memory_order_seq_cst);
      if (static_cast<std::int32_t>(p) < limit.load(std::memory_order_acquire)) [[likely]]
        return true;
    }
    return decide_begin(p);
  }

  /// Caller: takes back all tasks that have not begun but the first `keep` of these. `barrier()` is a full barrier for
  /// the caller and every worker; false if there is none to be had, and then nothing is taken back. Returns the
  /// position from which on tasks are the caller's; the chunk's length if that is none.
  template <class Barrier>
  [[nodiscard]] std::uint32_t take_back(std::uint32_t count, std::uint32_t keep, Barrier&& barrier) noexcept {
    const auto before = limit.load(std::memory_order_seq_cst);
    if (before <= 0) return before == 0 ? 0 : position_of(before, count);
    auto expected = before;
    limit.compare_exchange_strong(expected, asking,
                                  std::memory_order_seq_cst);  // only the caller writes a positive one
    const bool certain = barrier();
    const auto begun = finished.load(std::memory_order_seq_cst) + 1;
    const auto most = static_cast<std::uint32_t>(before);
    const auto left = most - std::min(begun, most);
    const auto mine = certain ? most - (left - std::min(keep, left)) : most;
    expected = asking;
    if (limit.compare_exchange_strong(expected, static_cast<std::int32_t>(mine), std::memory_order_seq_cst))
      return mine;
    return position_of(expected, count);
  }

  /// Caller, of a worker that has died: how many of the first tasks were its own.
  [[nodiscard]] std::uint32_t owned(std::uint32_t count) const noexcept {
    return position_of(limit.load(std::memory_order_acquire), count);
  }

 private:
  static std::uint32_t position_of(std::int32_t limit, std::uint32_t count) noexcept {
    if (limit == asking) return count;
    const auto position = static_cast<std::uint32_t>(limit >= 0 ? limit : -2 - limit);
    return std::min(position, count);
  }

  bool decide_begin(std::uint32_t p) noexcept {
    auto seen = limit.load(std::memory_order_seq_cst);
    while (seen == asking) {
      if (limit.compare_exchange_strong(seen, ended_at(p), std::memory_order_seq_cst)) return false;
    }
    return static_cast<std::int32_t>(p) < seen;
  }
};
static_assert(std::atomic<std::int32_t>::is_always_lock_free);

}  // namespace lenskit::detail
