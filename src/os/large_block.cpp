#include <lenskit/detail/os/large_block.hpp>
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
constexpr std::size_t most_kept = std::size_t{32} << 20;

std::array<std::atomic<std::byte*>, 2> kept{};

// False if there is no room.
bool keep(std::byte* block) noexcept {
  for (auto& place : kept) {
    std::byte* none = nullptr;
    if (place.compare_exchange_strong(none, block)) return true;
  }
  return false;
}

// A kept block that is large enough, but not a waste. One that is too small makes room for those that are needed now.
std::byte* take_kept(std::size_t bytes) noexcept {
  for (auto& place : kept) {
    auto* block = place.exchange(nullptr);
    if (block == nullptr) continue;
    const auto room = ::malloc_usable_size(block);
    if (room >= bytes && room / 2 <= bytes) return block;
    if (room < bytes || !keep(block)) std::free(block);
  }
  return nullptr;
}

}  // namespace

std::byte* allocate_block(std::size_t bytes) noexcept {
  if (bytes >= worth_it && bytes <= most_kept) {
    if (auto* block = take_kept(bytes); block != nullptr) return block;
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
  if (room < worth_it || room > most_kept || !keep(block)) std::free(block);
}

}  // namespace lenskit::detail
