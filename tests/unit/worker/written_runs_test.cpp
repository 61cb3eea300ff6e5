#include <lenskit/detail/wire/message.hpp>
#include <lenskit/detail/worker/written_runs.hpp>

#include <support/catch.hpp>

#include <array>
#include <cstddef>
#include <cstring>

namespace {

namespace d = lenskit::detail;

constexpr std::size_t head = sizeof(d::run_head);

d::run_head head_at(const std::array<std::byte, 64>& copy, std::size_t at) {
  d::run_head read{};
  std::memcpy(&read, copy.data() + at, sizeof read);
  return read;
}

}  // namespace

TEST_CASE("a chunk begins without runs") {
  d::written_runs runs{};
  runs.open(8, 3);
  runs.bytes.store(100);
  runs.begin();
  const auto seen = runs.look();
  CHECK(seen.open_at == d::seen_runs::none);
  CHECK(seen.open_position == 0);
  CHECK(seen.value_bytes == 0);
  CHECK(seen.extent(7) == 0);
}

TEST_CASE("runs end where they say, unless one is open whose values are all of a size") {
  d::written_runs runs{};
  runs.begin();
  runs.open(40, 5);
  runs.bytes.store(56);
  CHECK(runs.look().extent(8) == 56);
  runs.value_bytes.store(4);
  CHECK(runs.look().extent(8) == 40 + head + 3 * 4);
  CHECK(runs.look().extent(5) == 40 + head);
  CHECK(runs.look().extent(2) == 40 + head);  // fewer than there were: its own affair
  runs.close();
  CHECK(runs.look().extent(8) == 56);
}

TEST_CASE("runs that are nonsense have an extent that does not wrap around") {
  const d::seen_runs runs{.open_at = 0xffff'fffe, .open_position = 0, .value_bytes = 0xffff'ffff, .bytes = 0};
  CHECK(runs.extent(0xffff'ffff) > (std::uint64_t{1} << 63));
}

TEST_CASE("the head of the open run is written into a copy, if it lies in it") {
  std::array<std::byte, 64> copy{};
  d::seen_runs runs{.open_at = 16, .open_position = 4, .value_bytes = 4, .bytes = 0};
  runs.close(copy, 9);
  CHECK(head_at(copy, 16).count == 5);
  CHECK(head_at(copy, 16).kind == d::run_kind::values);
  copy = {};
  SECTION("none is open") { runs.open_at = d::seen_runs::none; }
  SECTION("it ends outside") { runs.open_at = static_cast<std::uint32_t>(copy.size() - head + 1); }
  runs.close(copy, 9);
  CHECK(copy == std::array<std::byte, 64>{});
}

TEST_CASE("runs that have been sent are gone, and it is told that their room is used again") {
  d::written_runs runs{};
  runs.begin();
  runs.open(0, 0);
  runs.bytes.store(24);
  runs.count_reuse();
  CHECK(runs.reuses.load() == 1);
  CHECK(runs.look().extent(3) == 24);
  runs.empty();
  CHECK(runs.look().open_at == d::seen_runs::none);
  CHECK(runs.look().extent(3) == 0);
  runs.begin();
  CHECK(runs.reuses.load() == 1);  // no matter in which chunk
}
