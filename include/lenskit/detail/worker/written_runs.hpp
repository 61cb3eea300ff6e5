// The runs of results that a worker has written and not sent, as its journal describes them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace lenskit::detail {

/// What somebody has read of `written_runs`, which may be anything. Positions count the tasks of the chunk in hand.
struct seen_runs {
  static constexpr std::uint32_t none = 0xffff'ffff;

  std::uint32_t open_at = none;     ///< where the open run of values begins
  std::uint32_t open_position = 0;  ///< position of that run's first task
  std::uint32_t value_bytes = 0;    ///< of each value of that run, or 0 if `bytes` says where it ends
  std::uint64_t bytes = 0;          ///< that all runs take

  /// How many bytes they take with the results of all tasks before `finished`.
  [[nodiscard]] std::uint64_t extent(std::uint32_t finished) const noexcept;
  /// Writes what the head of the open run does not know, its count, into a copy of the runs.
  void close(std::span<std::byte> copy, std::uint32_t finished) const noexcept;
};

/// A part of the journal: the worker writes it, the parent looks.
struct written_runs {
  std::atomic<std::uint32_t> open_at;  ///< these four as in `seen_runs`
  std::atomic<std::uint32_t> open_position;
  std::atomic<std::uint32_t> value_bytes;
  std::atomic<std::uint32_t> reuses;  ///< how often their room has been used again
  std::atomic<std::uint64_t> bytes;

  /// Another chunk is taken in hand: there are none.
  void begin() noexcept;
  void open(std::uint32_t at, std::uint32_t position) noexcept {
    open_position.store(position, std::memory_order_release);
    open_at.store(at, std::memory_order_release);
  }
  void close() noexcept { open_at.store(seen_runs::none, std::memory_order_release); }
  /// They have been sent. First it is told that their room will be used again, then, by `empty`, that there are none.
  void count_reuse() noexcept { reuses.store(reuses.load(std::memory_order_relaxed) + 1, std::memory_order_release); }
  void empty() noexcept {
    open_at.store(seen_runs::none, std::memory_order_relaxed);
    bytes.store(0, std::memory_order_relaxed);
  }

  [[nodiscard]] seen_runs look() const noexcept {
    return {.open_at = open_at.load(),
            .open_position = open_position.load(),
            .value_bytes = value_bytes.load(),
            .bytes = bytes.load()};
  }
};

}  // namespace lenskit::detail
