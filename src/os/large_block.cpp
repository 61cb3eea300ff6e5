#include <lenskit/detail/os/large_block.hpp>
#include <lenskit/detail/os/system.hpp>

#include <cerrno>

namespace lenskit::detail {

std::byte* allocate_block(std::size_t bytes) noexcept {
  constexpr std::size_t huge_page = std::size_t{2} << 20;
  constexpr std::size_t worth_it = 2 * huge_page;
  if (bytes < worth_it || bytes > SIZE_MAX - huge_page) return static_cast<std::byte*>(std::malloc(bytes));
  const auto rounded = (bytes + huge_page - 1) / huge_page * huge_page;
  auto* block = static_cast<std::byte*>(std::aligned_alloc(huge_page, rounded));
  if (block == nullptr) return nullptr;
  const int before = errno;
  sys::madvise(block, rounded, MADV_HUGEPAGE);  // refused, it is a block like any other
  errno = before;
  return block;
}

}  // namespace lenskit::detail
