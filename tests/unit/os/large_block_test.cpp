#include <lenskit/detail/os/large_block.hpp>
#include <support/catch.hpp>

#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>

using lenskit::detail::allocate_block;

namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;

TEST_CASE("a large block begins where a huge page can") {
  const std::unique_ptr<std::byte, lenskit::detail::free_bytes> block(allocate_block(8 * huge_page + 1));
  REQUIRE(block);
  CHECK(reinterpret_cast<std::uintptr_t>(block.get()) % huge_page == 0);
  std::memset(block.get(), 1, 8 * huge_page + 1);  // all of it is there
}

// The sanitizers end a program that asks for so much.
TEST_CASE("more memory than there can be is not given", "[no_asan][no_tsan]") {
  for (const auto bytes :
       std::array{std::numeric_limits<std::size_t>::max(), std::numeric_limits<std::size_t>::max() / 2})
    CHECK(allocate_block(bytes) == nullptr);
}

}  // namespace
