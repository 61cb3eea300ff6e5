#include <lenskit/detail/os/message_block.hpp>
#include <lenskit/detail/os/system.hpp>

#include <malloc.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <span>

namespace lenskit::detail {
namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;
constexpr std::size_t worth_it = 2 * huge_page;

// Freed blocks of some range of sizes that wait for the next to ask.
class shelf {
 public:
  constexpr shelf(std::size_t least, std::size_t most, std::size_t places)
      : least_(least), most_(most), in_use_(places) {}

  [[nodiscard]] bool empty() noexcept {
    return std::ranges::all_of(places(), [](const auto& place) { return place.load() == nullptr; });
  }

  void clear() noexcept {
    for (auto& place : places()) std::free(place.exchange(nullptr));
  }

  [[nodiscard]] bool holds(std::size_t bytes) const noexcept { return bytes >= least_ && bytes <= most_; }

  /// Returns the block that has to go for it, if there is no room: null or another one.
  [[nodiscard]] std::byte* keep(std::byte* block) noexcept {
    for (auto& place : places()) {
      std::byte* none = nullptr;
      if (place.load(std::memory_order_relaxed) == nullptr && place.compare_exchange_strong(none, block)) return none;
    }
    // Sizes that nobody wants any more must not keep out those that are wanted now.
    return places_[next_.fetch_add(1, std::memory_order_relaxed) % in_use_].exchange(block);
  }

  /// One that is large enough, but not a waste; null if there is none.
  [[nodiscard]] std::byte* take(std::size_t bytes) noexcept {
    for (auto& place : places()) {
      if (place.load(std::memory_order_relaxed) == nullptr) continue;
      auto* block = place.exchange(nullptr);
      if (block == nullptr) continue;
      const auto room = ::malloc_usable_size(block);
      if (room >= bytes && room / 2 <= bytes) return block;
      std::free(keep(block));
    }
    return nullptr;
  }

 private:
  [[nodiscard]] std::span<std::atomic<std::byte*>> places() noexcept { return std::span(places_).first(in_use_); }

  const std::size_t least_;
  const std::size_t most_;
  const std::size_t in_use_;
  std::array<std::atomic<std::byte*>, 32> places_{};
  std::atomic<unsigned> next_{0};
};

constexpr std::size_t kilobyte = 1024;
constinit std::array shelves{shelf(16 * kilobyte, 512 * kilobyte, 32), shelf(512 * kilobyte + 1, worth_it - 1, 4),
                             shelf(worth_it, 128 * kilobyte * kilobyte, 2)};

// Null if blocks of that size are not kept.
shelf* shelf_for(std::size_t bytes) noexcept {
  for (auto& each : shelves) {
    if (each.holds(bytes)) return &each;
  }
  return nullptr;
}

}  // namespace

std::byte* allocate_block(std::size_t bytes) noexcept {
  if (auto* shelf = shelf_for(bytes); shelf != nullptr) {
    if (auto* kept = shelf->take(bytes); kept != nullptr) return kept;
  }
  if (bytes < worth_it || bytes > SIZE_MAX - huge_page) return static_cast<std::byte*>(std::malloc(bytes));
  const auto rounded = (bytes + huge_page - 1) / huge_page * huge_page;
  auto* block = static_cast<std::byte*>(std::aligned_alloc(huge_page, rounded));
  if (block == nullptr) return nullptr;
  const int before = errno;
  sys::madvise(block, rounded, MADV_HUGEPAGE);  // refused, it is a block like any other
  errno = before;
  return block;
}

void free_block(std::byte* block) noexcept {
  if (block == nullptr) return;
  if (auto* shelf = shelf_for(::malloc_usable_size(block)); shelf != nullptr) block = shelf->keep(block);
  std::free(block);
}

bool keeps_large_blocks() noexcept { return !shelves.back().empty(); }

void free_large_kept_blocks() noexcept { shelves.back().clear(); }

}  // namespace lenskit::detail
