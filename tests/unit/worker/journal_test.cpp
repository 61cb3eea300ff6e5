#include <lenskit/detail/wire/message.hpp>
#include <lenskit/detail/wire/reader.hpp>
#include <lenskit/detail/worker/journal.hpp>

#include <support/catch.hpp>

#include <cstdint>
#include <cstring>

namespace {

namespace d = lenskit::detail;

// A block in which a worker has chunk 9 in hand and runs its task 3; tasks 1 and 2 are finished and not sent.
d::journal_block& busy(d::journal& all) {
  auto& block = all.of(0);
  block.claim_at.store(2);
  block.claim_of(2).open(10);
  block.claim_of(2).finished.store(3);
  block.base.store(1);
  block.started.store(4);
  block.runs.open_at.store(0);
  block.runs.open_position.store(1);
  block.runs.value_bytes.store(sizeof(int));
  const int values[] = {11, 12};
  std::memcpy(block.results + sizeof(d::run_head), values, sizeof values);
  block.chunk.store(9);
  return block;
}

}  // namespace

TEST_CASE("a new block holds nothing") {
  d::journal all(2);
  const auto will = d::read_last_will(all.of(1));
  CHECK(will.chunk == 0);
  CHECK(will.finished == will.base);
  CHECK_FALSE(d::read_unsent(all.of(1)));
}

TEST_CASE("a will holds what was finished and not sent, which task ran, and what was the worker's") {
  d::journal all(1);
  auto& block = busy(all);
  std::ignore = block.claim_of(2).take_back(10, 2, [] { return true; });
  const auto will = d::read_last_will(block);
  CHECK(will.chunk == 9);
  CHECK(will.base == 1);
  CHECK(will.finished == 3);
  CHECK(will.started == 4);
  CHECK(will.owned == 6);
  d::reader in(will.saved.bytes());
  CHECK(in.get<d::run_head>().count == 2);
  CHECK(in.get<int>() == 11);
  CHECK(in.get<int>() == 12);
  CHECK(in.left() == 0);
}

TEST_CASE("of a living worker only what holds still is read") {
  d::journal all(1);
  auto& block = busy(all);
  REQUIRE(d::read_unsent(block));
  CHECK(d::read_unsent(block)->finished == 3);
  SECTION("not while it sends") {
    block.sending.store(1);
    CHECK_FALSE(d::read_unsent(block));
  }
  SECTION("nothing, if all has been sent") {
    block.base.store(3);
    CHECK_FALSE(d::read_unsent(block));
  }
  SECTION("nothing between chunks") {
    block.chunk.store(0);
    CHECK_FALSE(d::read_unsent(block));
  }
}

TEST_CASE("a block that holds nonsense saves nothing, and reads nothing outside of it") {
  d::journal all(1);
  auto& block = busy(all);
  SECTION("more finished than started") { block.claim_of(2).finished.store(5); }
  SECTION("more sent than finished") { block.base.store(7); }
  SECTION("more bytes than there are") {
    block.runs.value_bytes.store(0);
    block.runs.bytes.store(d::journal_block::bytes_in_all);
  }
  SECTION("values longer than the block") { block.runs.value_bytes.store(0xffff'ffff); }
  SECTION("a chunk whose first task has not begun") { block.claim_of(2).finished.store(d::claim::not_begun); }
  const auto will = d::read_last_will(block);
  CHECK(will.finished == will.base);
  CHECK(will.saved.size() == 0);
}

TEST_CASE("the number of a claim that makes no sense leads to one of the block") {
  d::journal all(1);
  auto& block = busy(all);
  block.claim_at.store(0xffff'ffff);
  CHECK(&block.claim_in_hand() == &block.claims[d::journal_block::most_claims - 1]);
  CHECK(d::read_last_will(block).chunk == 9);
}
