#include <lenskit/detail/wire/crc32c.hpp>

#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#define LENSKIT_CRC32C_TARGET __attribute__((target("sse4.2")))
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#define LENSKIT_CRC32C_TARGET
#endif

namespace lenskit::detail {
namespace {

static_assert(std::endian::native == std::endian::little);

using crc_table = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr std::uint32_t polynomial = 0x82f63b78;  // reflected

// Slicing by 8: table[k][b] is the checksum of byte b with k zero bytes behind it.
constexpr crc_table make_table() {
  crc_table table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    auto crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? polynomial : 0);
    table[0][byte] = crc;
  }
  for (std::size_t k = 1; k < table.size(); ++k)
    for (std::size_t byte = 0; byte < 256; ++byte)
      table[k][byte] = (table[k - 1][byte] >> 8) ^ table[0][table[k - 1][byte] & 0xff];
  return table;
}
constexpr crc_table table = make_table();

std::uint64_t load_word(const unsigned char* from) noexcept {
  std::uint64_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

std::uint32_t add_by_table(std::uint32_t crc, const unsigned char* next, std::size_t bytes) noexcept {
  for (; bytes >= 8; bytes -= 8, next += 8) {
    const auto word = load_word(next) ^ crc;
    crc = 0;
    for (std::size_t i = 0; i < 8; ++i) crc ^= table[7 - i][(word >> (8 * i)) & 0xff];
  }
  for (; bytes > 0; --bytes) crc = (crc >> 8) ^ table[0][(crc ^ *next++) & 0xff];
  return crc;
}

#ifdef LENSKIT_CRC32C_TARGET

// One instruction takes three cycles, but three can be under way. So a buffer is cut into stripes that are summed side
// by side, and the sums are joined: appending zero bytes to what was summed is a linear operation on the 32 bits of
// the sum, tabulated byte by byte for the two lengths of stripe in use.
constexpr std::size_t long_stripe = 4096;
constexpr std::size_t short_stripe = 256;

using zeros_table = std::array<std::array<std::uint32_t, 256>, 4>;

// Products of polynomials modulo ours, reflected: bit 31 is x^0.
constexpr std::uint32_t multiply(std::uint32_t a, std::uint32_t b) {
  std::uint32_t product = 0;
  for (auto bit = std::uint32_t{1} << 31; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = (b >> 1) ^ ((b & 1) != 0 ? polynomial : 0);
  }
  return product;
}

constexpr zeros_table make_zeros(std::size_t bytes) {
  std::uint32_t shift = std::uint32_t{1} << 31;   // x^(8 * bytes), by repeated squaring
  std::uint32_t square = std::uint32_t{1} << 23;  // x^8
  for (; bytes != 0; bytes >>= 1, square = multiply(square, square))
    if ((bytes & 1) != 0) shift = multiply(shift, square);
  zeros_table zeros{};
  for (std::size_t place = 0; place < 4; ++place)
    for (std::uint32_t byte = 0; byte < 256; ++byte) zeros[place][byte] = multiply(shift, byte << (8 * place));
  return zeros;
}
constexpr zeros_table long_zeros = make_zeros(long_stripe);
constexpr zeros_table short_zeros = make_zeros(short_stripe);

std::uint32_t append_zeros(const zeros_table& zeros, std::uint32_t crc) noexcept {
  return zeros[0][crc & 0xff] ^ zeros[1][(crc >> 8) & 0xff] ^ zeros[2][(crc >> 16) & 0xff] ^ zeros[3][crc >> 24];
}

#if defined(__x86_64__)
LENSKIT_CRC32C_TARGET inline std::uint64_t step(std::uint64_t crc, std::uint64_t word) noexcept {
  return _mm_crc32_u64(crc, word);
}
LENSKIT_CRC32C_TARGET inline std::uint64_t step(std::uint64_t crc, unsigned char byte) noexcept {
  return _mm_crc32_u8(static_cast<std::uint32_t>(crc), byte);
}
bool find_hardware() noexcept { return __builtin_cpu_supports("sse4.2") != 0; }
#else
inline std::uint64_t step(std::uint64_t crc, std::uint64_t word) noexcept {
  return __crc32cd(static_cast<std::uint32_t>(crc), word);
}
inline std::uint64_t step(std::uint64_t crc, unsigned char byte) noexcept {
  return __crc32cb(static_cast<std::uint32_t>(crc), byte);
}
bool find_hardware() noexcept { return true; }
#endif

template <std::size_t Stripe>
LENSKIT_CRC32C_TARGET std::uint64_t add_stripes(std::uint64_t crc, const unsigned char*& next, std::size_t& bytes,
                                                const zeros_table& zeros) noexcept {
  for (; bytes >= 3 * Stripe; bytes -= 3 * Stripe, next += 3 * Stripe) {
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t i = 0; i < Stripe; i += 8) {
      crc = step(crc, load_word(next + i));
      second = step(second, load_word(next + Stripe + i));
      third = step(third, load_word(next + 2 * Stripe + i));
    }
    crc = append_zeros(zeros, static_cast<std::uint32_t>(crc)) ^ second;
    crc = append_zeros(zeros, static_cast<std::uint32_t>(crc)) ^ third;
  }
  return crc;
}

LENSKIT_CRC32C_TARGET std::uint32_t add_in_hardware(std::uint32_t seed, const unsigned char* next,
                                                    std::size_t bytes) noexcept {
  std::uint64_t crc = seed;
  crc = add_stripes<long_stripe>(crc, next, bytes, long_zeros);
  crc = add_stripes<short_stripe>(crc, next, bytes, short_zeros);
  for (; bytes >= 8; bytes -= 8, next += 8) crc = step(crc, load_word(next));
  for (; bytes > 0; --bytes) crc = step(crc, *next++);
  return static_cast<std::uint32_t>(crc);
}

#else

bool find_hardware() noexcept { return false; }
std::uint32_t add_in_hardware(std::uint32_t crc, const unsigned char* next, std::size_t bytes) noexcept {
  return add_by_table(crc, next, bytes);
}

#endif

const bool has_hardware = find_hardware();

}  // namespace

bool crc32c_in_hardware() noexcept { return has_hardware; }

std::uint32_t crc32c(const void* data, std::size_t bytes, std::uint32_t seed) noexcept {
  const auto* first = static_cast<const unsigned char*>(data);
  // Before static initialisation has_hardware is false, which is slow but right.
  return has_hardware ? ~add_in_hardware(~seed, first, bytes) : ~add_by_table(~seed, first, bytes);
}

std::uint32_t crc32c_by_table(const void* data, std::size_t bytes, std::uint32_t seed) noexcept {
  return ~add_by_table(~seed, static_cast<const unsigned char*>(data), bytes);
}

}  // namespace lenskit::detail
