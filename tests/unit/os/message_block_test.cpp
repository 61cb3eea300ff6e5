#include <lenskit/detail/os/message_block.hpp>
#include <support/catch.hpp>

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

using lenskit::detail::allocate_block;

namespace {

using owned = std::unique_ptr<std::byte, lenskit::detail::free_bytes>;
constexpr std::size_t huge_page = std::size_t{2} << 20;

TEST_CASE("a large block begins where a huge page can") {
  const owned block(allocate_block(8 * huge_page + 1));
  REQUIRE(block);
  CHECK(reinterpret_cast<std::uintptr_t>(block.get()) % huge_page == 0);
  std::memset(block.get(), 1, 8 * huge_page + 1);  // all of it is there
}

TEST_CASE("a large block that is given back is handed out again, if it is not far too large") {
  owned first(allocate_block(8 * huge_page));
  const auto* const where = first.get();
  first.reset();
  const owned small(allocate_block(2 * huge_page));
  CHECK(small.get() != where);
  owned again(allocate_block(8 * huge_page - 1));
  CHECK(again.get() == where);
}

TEST_CASE("a block of the size of usual messages is handed out again as well") {
  constexpr std::size_t bytes = std::size_t{100} << 10;
  owned first(allocate_block(bytes));
  const auto* const where = first.get();
  first.reset();
  const owned small(allocate_block(bytes / 4));
  CHECK(small.get() != where);
  owned again(allocate_block(bytes - 1));
  CHECK(again.get() == where);
}

TEST_CASE("blocks of sizes that are no longer wanted do not keep out those that are") {
  {
    std::vector<owned> old;
    for (int i = 0; i < 100; ++i) old.emplace_back(allocate_block(std::size_t{20} << 10));
  }
  constexpr std::size_t bytes = std::size_t{400} << 10;
  owned wanted(allocate_block(bytes));
  const auto* const where = wanted.get();
  wanted.reset();
  const owned again(allocate_block(bytes));
  CHECK(again.get() == where);
}

TEST_CASE("kept blocks that have become too small do not keep larger ones out") {
  {
    const owned first(allocate_block(2 * huge_page));
    const owned second(allocate_block(2 * huge_page));
  }
  owned large(allocate_block(8 * huge_page));
  const auto* const where = large.get();
  large.reset();
  const owned again(allocate_block(8 * huge_page));
  CHECK(again.get() == where);
}

// The sanitizer keeps what is freed for a while.
TEST_CASE("the large blocks that are kept are given back when nobody needs them any more", "[no_asan]") {
  const auto resident = [] {
    std::ifstream in("/proc/self/statm");
    std::size_t pages = 0;
    in >> pages >> pages;
    return pages * static_cast<std::size_t>(::getpagesize());
  };
  constexpr std::size_t bytes = 32 * huge_page;
  const auto before = resident();
  {
    const owned block(allocate_block(bytes));
    std::memset(block.get(), 1, bytes);
  }
  CHECK(resident() > before + bytes / 2);
  CHECK(lenskit::detail::keeps_large_blocks());
  lenskit::detail::free_large_kept_blocks();
  CHECK(resident() < before + bytes / 2);
  CHECK_FALSE(lenskit::detail::keeps_large_blocks());
}

TEST_CASE("blocks that threads take and give back belong to one of them at a time") {
  std::atomic<int> shared{0};
  std::vector<std::thread> threads;
  for (int thread = 1; thread <= 4; ++thread) {
    threads.emplace_back([&shared, thread] {
      constexpr int rounds = 2000;
      for (int i = 0; i < rounds; ++i) {
        const owned block(allocate_block(2 * huge_page));
        std::memcpy(block.get(), &thread, sizeof thread);
        std::this_thread::yield();
        shared += std::memcmp(block.get(), &thread, sizeof thread) != 0;
      }
    });
  }
  for (auto& each : threads) each.join();
  CHECK(shared == 0);
}

// The sanitizers end a program that asks for so much.
TEST_CASE("more memory than there can be is not given", "[no_asan][no_tsan]") {
  for (const auto bytes :
       std::array{std::numeric_limits<std::size_t>::max(), std::numeric_limits<std::size_t>::max() / 2})
    CHECK(allocate_block(bytes) == nullptr);
}

}  // namespace
