#include <lenskit/detail/wire/crc32c.hpp>

#include <support/catch.hpp>

#include <array>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

using lenskit::detail::crc32c;
using lenskit::detail::crc32c_ways;

namespace {

std::vector<unsigned char> noise(std::size_t bytes) {
  std::mt19937 random(20);
  std::vector<unsigned char> made(bytes);
  for (auto& byte : made) byte = static_cast<unsigned char>(random());
  return made;
}

}  // namespace

TEST_CASE("the checksum is CRC-32C as RFC 3720 lists it", "[wire]") {
  std::array<unsigned char, 32> bytes{};
  for (auto* sum : crc32c_ways()) {
    CHECK(sum("123456789", 9, 0) == 0xe3069283);
    bytes.fill(0);
    CHECK(sum(bytes.data(), bytes.size(), 0) == 0x8a9136aa);
    bytes.fill(0xff);
    CHECK(sum(bytes.data(), bytes.size(), 0) == 0x62a8ab43);
    std::iota(bytes.begin(), bytes.end(), static_cast<unsigned char>(0));
    CHECK(sum(bytes.data(), bytes.size(), 0) == 0x46dd794e);
    CHECK(sum(nullptr, 0, 0) == 0);
  }
}

TEST_CASE("all ways to compute a checksum come to the same for every length and alignment", "[wire]") {
  const auto bytes = noise(40000);
  const auto agree = [&](std::size_t from, std::size_t size, std::uint32_t seed) {
    const auto expected = crc32c_ways().front()(bytes.data() + from, size, seed);
    for (auto* sum : crc32c_ways()) REQUIRE(sum(bytes.data() + from, size, seed) == expected);
    REQUIRE(crc32c(bytes.data() + from, size, seed) == expected);
  };
  for (std::size_t size = 0; size < 2000; ++size) agree(size % 67, size, 5);
  for (std::size_t size = 2000; size + 67 < bytes.size(); size += 487) agree(size % 67, size, 0xffff'ffff);
}

TEST_CASE("a checksum can be continued where it was left", "[wire]") {
  const auto bytes = noise(20000);
  const auto whole = crc32c(bytes.data(), bytes.size());
  for (std::size_t cut = 0; cut <= bytes.size(); cut += 311)
    REQUIRE(crc32c(bytes.data() + cut, bytes.size() - cut, crc32c(bytes.data(), cut)) == whole);
}

TEST_CASE("every flipped bit changes the checksum", "[wire]") {
  auto bytes = noise(1000);
  const auto before = crc32c(bytes.data(), bytes.size());
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<unsigned char>(1u << (bit % 8));
    REQUIRE(crc32c(bytes.data(), bytes.size()) != before);
    bytes[bit / 8] ^= static_cast<unsigned char>(1u << (bit % 8));
  }
}
