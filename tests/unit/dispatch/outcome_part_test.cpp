#include <lenskit/detail/dispatch/outcome_part.hpp>

#include <support/catch.hpp>

#include <cstddef>
#include <cstring>
#include <utility>

namespace {

namespace d = lenskit::detail;

}  // namespace

TEST_CASE("a part that somebody failed has no runs") {
  const d::outcome_part part;
  CHECK(part.runs().empty());
  CHECK_FALSE(part.cancelled);
}

TEST_CASE("the runs of a part begin behind what its message began with, wherever the part goes") {
  d::outcome_list one(1);
  auto& part = one.front();
  part.payload = d::byte_buffer(10);
  std::memcpy(part.payload.data(), "head--runs", 10);
  part.runs_at = 6;
  d::outcome_list other;
  other.splice(other.end(), one);
  const auto runs = other.front().runs();
  REQUIRE(runs.size() == 4);
  CHECK(std::memcmp(runs.data(), "runs", 4) == 0);
  const auto moved = std::move(other.front());
  CHECK(moved.runs().data() == runs.data());
}
