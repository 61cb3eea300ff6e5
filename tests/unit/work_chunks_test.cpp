#include <lenskit/work_chunks.hpp>

#include <support/catch.hpp>

#include <limits>
#include <ranges>

using lenskit::work_chunks;

static_assert(std::ranges::forward_range<work_chunks> && std::ranges::sized_range<work_chunks>);

TEST_CASE("work_chunks uses the numbers of LensKit") {
  CHECK(work_chunks::create(1) == work_chunks{1, 1, 1});
  CHECK(work_chunks::create(99) == work_chunks{99, 99, 1});
  CHECK(work_chunks::create(100) == work_chunks{100, 100, 1});
  CHECK(work_chunks::create(101) == work_chunks{101, 100, 2});
  CHECK(work_chunks::create(100'000) == work_chunks{100'000, 100, 1000});
  CHECK(work_chunks::create(500'000) == work_chunks{500'000, 500, 1000});
  CHECK(work_chunks::create(4'000'000) == work_chunks{4'000'000, 4000, 1000});
  CHECK(work_chunks::create(40'000'001) == work_chunks{40'000'001, 4000, 10'001});
}

TEST_CASE("no jobs are no chunk") {
  const auto chunks = work_chunks::create(0);
  CHECK(chunks.begin() == chunks.end());
  CHECK(chunks.empty());
  CHECK(chunks.size() == 0);
}

TEST_CASE("chunks cover every job once and in order") {
  for (const std::size_t njobs : {1UL, 99UL, 100UL, 101UL, 250UL, 123'456UL, 4'000'001UL}) {
    const auto chunks = work_chunks::create(njobs);
    std::size_t next = 0;
    std::size_t count = 0;
    for (const auto& [begin, end] : chunks) {
      REQUIRE(begin == next);
      REQUIRE(end > begin);
      REQUIRE(end - begin <= chunks.chunk_size);
      next = end;
      ++count;
    }
    CHECK(next == njobs);
    CHECK(count == chunks.chunk_count);
  }
}

TEST_CASE("the largest job still has sane chunks") {
  constexpr auto most = std::numeric_limits<std::size_t>::max();
  const auto chunks = work_chunks::create(most);
  CHECK(chunks.chunk_size == 4000);
  CHECK(chunks.chunk_count == most / 4000 + 1);
  const work_chunks::iterator last(most - 3, 4000, most);
  CHECK((*last).second == most);
  CHECK(std::next(last) == chunks.end());
}

TEST_CASE("iterators outlive the chunks they came from") {
  auto at = work_chunks::create(250).begin();
  ++at;
  CHECK(*at++ == std::pair<std::size_t, std::size_t>{100, 200});
  CHECK(*at == std::pair<std::size_t, std::size_t>{200, 250});
}
