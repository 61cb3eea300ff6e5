#include <lenskit/random.hpp>

#include <array>

namespace lenskit::detail {
namespace {

constexpr std::array<std::uint32_t, 256> make_crc32_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1U) != 0 ? 0xedb88320U : 0U);
    table[byte] = value;
  }
  return table;
}

constexpr auto crc32_table = make_crc32_table();

}  // namespace

std::uint32_t crc32(std::string_view text) noexcept {
  std::uint32_t value = ~0U;
  for (const char c : text) value = (value >> 8) ^ crc32_table[(value ^ static_cast<unsigned char>(c)) & 0xffU];
  return ~value;
}

}  // namespace lenskit::detail
