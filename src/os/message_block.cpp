#include <lenskit/detail/os/message_block.hpp>
#include <lenskit/detail/os/system.hpp>

#include <malloc.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>

namespace lenskit::detail {
namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;
constexpr std::size_t worth_it = 2 * huge_page;

// Freed blocks of some range of sizes that wait for the next to ask.
template <std::size_t Places>
class shelf {
 public:
  constexpr shelf(std::size_t least, std::size_t most) : least_(least), most_(most) {}

  [[nodiscard]] bool holds(std::size_t bytes) const noexcept { return bytes >= least_ && bytes <= most_; }

  /// Returns the block that has to go for it, if there is no room: null or another one.
  [[nodiscard]] std::byte* keep(std::byte* block) noexcept {
    for (auto& place : places_) {
      std::byte* none = nullptr;
      if (place.load(std::memory_order_relaxed) == nullptr && place.compare_exchange_strong(none, block)) return none;
    }
    // Sizes that nobody wants any more must not keep out those that are wanted now.
    return places_[next_.fetch_add(1, std::memory_order_relaxed) % Places].exchange(block);
  }

  /// One that is large enough, but not a waste; null if there is none.
  [[nodiscard]] std::byte* take(std::size_t bytes) noexcept {
    for (auto& place : places_) {
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
  const std::size_t least_;
  const std::size_t most_;
  std::array<std::atomic<std::byte*>, Places> places_{};
  std::atomic<unsigned> next_{0};
};

constinit shelf<32> middling(std::size_t{16} << 10, std::size_t{512} << 10);
constinit shelf<2> large(worth_it, std::size_t{32} << 20);

}  // namespace

std::byte* allocate_block(std::size_t bytes) noexcept {
  if (middling.holds(bytes)) {
    if (auto* block = middling.take(bytes); block != nullptr) return block;
  }
  if (large.holds(bytes)) {
    if (auto* block = large.take(bytes); block != nullptr) return block;
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
  const auto room = ::malloc_usable_size(block);
  if (middling.holds(room)) {
    block = middling.keep(block);
  } else if (large.holds(room)) {
    block = large.keep(block);
  }
  std::free(block);
}

}  // namespace lenskit::detail
