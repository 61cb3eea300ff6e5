// When to fetch from a worker's journal what its task keeps back, and how far that has been done.
#pragma once

#include <lenskit/detail/os/clock.hpp>

#include <atomic>
#include <cstdint>

namespace lenskit::detail {

/// How far something has come, in the last chunk that it has to do with.
struct chunk_position {
  std::uint64_t chunk = 0;
  std::uint32_t position = 0;

  /// In any other chunk it has not begun.
  [[nodiscard]] std::uint32_t in(std::uint64_t which) const noexcept { return which == chunk ? position : 0; }
  bool operator==(const chunk_position&) const = default;
};

/// The leader's, but for what says otherwise.
class harvest_watch {
 public:
  /// When to look. Thread-safe.
  [[nodiscard]] steady::time_point due_at() const noexcept { return due_at_.load(); }
  /// The worker has been given a chunk. A look that nobody took while it had nothing is one to come again. Under the
  /// dispatcher's lock.
  void note_given(steady::time_point now) noexcept;
  /// It has sent something.
  void note_sent(steady::time_point now) noexcept;
  /// It is looked at. Without a chunk it sends by itself: it is looked at again once it has been given something. Asks
  /// `has_chunk()` when `note_given` can no longer take this look for one to come.
  template <class HasChunk>
  void look(steady::time_point now, HasChunk&& has_chunk) noexcept {
    due_at_ = steady::time_point::max();
    if (has_chunk()) note_sent(now);
  }
  /// To be asked at each look: now and then, whether it is alive at all is to be looked at as well.
  [[nodiscard]] bool wants_proof_of_life() noexcept;

  /// Up to where everything has been fetched.
  [[nodiscard]] chunk_position done() const noexcept { return done_; }
  void note_done(chunk_position finished) noexcept { done_ = finished; }

 private:
  std::atomic<steady::time_point> due_at_{steady::time_point::max()};
  unsigned looks_ = 0;
  chunk_position done_{};
};

}  // namespace lenskit::detail
