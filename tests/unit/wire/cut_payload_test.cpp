#include <lenskit/detail/wire/crc32c.hpp>
#include <lenskit/detail/wire/cut_payload.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace {

namespace d = lenskit::detail;

std::vector<std::byte> numbered(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 % 251);
  return bytes;
}

}  // namespace

TEST_CASE("a payload that is cut keeps its beginning and the checksum of all of it, in whatever pieces it comes") {
  const auto bytes = numbered(1000);
  const auto piece = GENERATE(as<std::size_t>(), 1, 7, 63, 64, 65, 999, 1000);
  CAPTURE(piece);
  d::cut_payload cut(bytes.size());
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    CHECK_FALSE(cut.complete());
    const auto some = std::span(bytes).subspan(at, std::min(piece, bytes.size() - at));
    REQUIRE(cut.take(some) == some.size());
  }
  CHECK(cut.complete());
  CHECK(cut.check() == d::crc32c(bytes.data(), bytes.size()));
  CHECK(std::ranges::equal(cut.beginning(), std::span(bytes).first(d::cut_payload::kept_bytes)));
}

TEST_CASE("a payload that is cut leaves what comes behind it") {
  const auto bytes = numbered(150);
  d::cut_payload cut(100);
  CHECK(cut.take(std::span(bytes).first(90)) == 90);
  CHECK(cut.take(std::span(bytes).subspan(90)) == 10);
  CHECK(cut.complete());
  CHECK(cut.take(std::span(bytes)) == 0);
  CHECK(cut.check() == d::crc32c(bytes.data(), 100));
}

TEST_CASE("a payload that is cut has no more of a beginning than has come") {
  const auto bytes = numbered(10);
  d::cut_payload cut(100);
  CHECK(cut.take(bytes) == 10);
  CHECK(cut.beginning().size() == 10);
}
