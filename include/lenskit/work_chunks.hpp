// Dividing a long job into chunks that are worth sending to a worker.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <iterator>
#include <utility>

namespace lenskit {

/// A division of `total` jobs into chunks of `chunk_size`; iterating it gives their bounds `[begin, end)`.
///
///     auto rows = [](const matrix& m, std::pair<std::size_t, std::size_t> chunk) { return train(m, chunk); };
///     for (auto& part : lenskit::invoker(m, rows).map(lenskit::work_chunks::create(m.n_items))) merge(part);
///
/// Fewer than 100 jobs are one chunk; else a chunk has `total / 1000` jobs, at least 100 and at most 4000. The chunks
/// cover each job once, in order; the last one may be shorter. Its iterators do not refer to it. Never throws, never
/// blocks; a value like any other.
///
/// LensKit: `WorkChunks` with the same numbers, but not iterable, and no jobs are one empty chunk there, none here.
struct work_chunks {
  std::size_t total = 0;        ///< jobs
  std::size_t chunk_size = 0;   ///< jobs in each chunk but perhaps the last
  std::size_t chunk_count = 0;  ///< chunks

  using value_type = std::pair<std::size_t, std::size_t>;

  /// The division of `njobs` jobs.
  [[nodiscard]] static constexpr work_chunks create(std::size_t njobs) noexcept {
    constexpr std::size_t min_chunkable = 100;
    constexpr std::size_t wanted_chunks = 1000;
    constexpr std::size_t min_size = 100;
    constexpr std::size_t max_size = 4000;
    if (njobs == 0) return {};
    if (njobs < min_chunkable) return {njobs, njobs, 1};
    const std::size_t size = std::clamp(njobs / wanted_chunks, min_size, max_size);
    return {njobs, size, njobs / size + (njobs % size != 0 ? 1 : 0)};
  }

  class iterator {
   public:
    using value_type = work_chunks::value_type;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::forward_iterator_tag;
    using iterator_category = std::input_iterator_tag;  // its reference is a value
    using reference = value_type;
    using pointer = void;

    constexpr iterator() noexcept = default;
    constexpr iterator(std::size_t begin, std::size_t size, std::size_t total) noexcept
        : begin_(begin), size_(size), total_(total) {}

    [[nodiscard]] constexpr value_type operator*() const noexcept { return {begin_, begin_ + length()}; }
    constexpr iterator& operator++() noexcept {
      begin_ += length();
      return *this;
    }
    constexpr iterator operator++(int) noexcept {
      const iterator before = *this;
      ++*this;
      return before;
    }
    friend constexpr bool operator==(const iterator& a, const iterator& b) noexcept { return a.begin_ == b.begin_; }

   private:
    // Compares with what is left, so that no sum can overflow.
    [[nodiscard]] constexpr std::size_t length() const noexcept { return std::min(size_, total_ - begin_); }

    std::size_t begin_ = 0;
    std::size_t size_ = 0;
    std::size_t total_ = 0;
  };
  using const_iterator = iterator;

  [[nodiscard]] constexpr iterator begin() const noexcept { return {0, chunk_size, total}; }
  [[nodiscard]] constexpr iterator end() const noexcept { return {total, chunk_size, total}; }
  [[nodiscard]] constexpr std::size_t size() const noexcept { return chunk_count; }
  [[nodiscard]] constexpr bool empty() const noexcept { return chunk_count == 0; }

  friend constexpr bool operator==(const work_chunks&, const work_chunks&) noexcept = default;
};

}  // namespace lenskit
