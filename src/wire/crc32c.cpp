#include <lenskit/detail/wire/crc32c.hpp>

#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#define LENSKIT_CRC32C_TARGET __attribute__((target("sse4.2")))
#define LENSKIT_CRC32C_WIDE_TARGET __attribute__((target("sse4.2,pclmul,avx512f,vpclmulqdq")))
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
constexpr crc_table make_crc32c_table() {
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
constexpr crc_table crc32c_table = make_crc32c_table();

std::uint64_t load_word(const unsigned char* from) noexcept {
  std::uint64_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

std::uint32_t add_by_table(std::uint32_t crc, const unsigned char* next, std::size_t bytes) noexcept {
  for (; bytes >= 8; bytes -= 8, next += 8) {
    const auto word = load_word(next) ^ crc;
    crc = 0;
    for (std::size_t i = 0; i < 8; ++i) crc ^= crc32c_table[7 - i][(word >> (8 * i)) & 0xff];
  }
  for (; bytes > 0; --bytes) crc = (crc >> 8) ^ crc32c_table[0][(crc ^ *next++) & 0xff];
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

// x^n, by repeated squaring.
constexpr std::uint32_t power_of_x(std::size_t n) {
  std::uint32_t power = std::uint32_t{1} << 31;
  std::uint32_t square = std::uint32_t{1} << 30;
  for (; n != 0; n >>= 1, square = multiply(square, square))
    if ((n & 1) != 0) power = multiply(power, square);
  return power;
}

constexpr zeros_table make_zeros(std::size_t bytes) {
  const auto shift = power_of_x(8 * bytes);
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

// Processors with carry-less multiplication of whole vectors need no stripes: 128 bits are moved by any distance
// towards the end of the message with two products and then added to what lies there (Gopal et al., "Fast CRC
// Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009).
bool find_wide_hardware() noexcept {
  return find_hardware() && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("vpclmulqdq") != 0;
}

// What the two halves of 128 bits, the earlier one first, are multiplied with to move them by so many bits. One less of
// x, because the product of two reflected polynomials comes out multiplied by x.
constexpr std::uint64_t move_early_half(std::size_t bits) { return std::uint64_t{power_of_x(bits + 63)} << 32; }
constexpr std::uint64_t move_late_half(std::size_t bits) { return std::uint64_t{power_of_x(bits - 1)} << 32; }

constexpr std::size_t vector_bytes = 64;
constexpr std::size_t vectors = 4;  // so many products can be under way

LENSKIT_CRC32C_WIDE_TARGET inline __m512i load_vector(const unsigned char* from, std::size_t i) noexcept {
  return _mm512_loadu_si512(from + i * vector_bytes);
}

LENSKIT_CRC32C_WIDE_TARGET inline __m512i moved(__m512i what, __m512i by) noexcept {
  return _mm512_xor_si512(_mm512_clmulepi64_epi128(what, by, 0x00), _mm512_clmulepi64_epi128(what, by, 0x11));
}

template <std::size_t Bits>
LENSKIT_CRC32C_WIDE_TARGET inline __m512i distance() noexcept {
  constexpr auto early = static_cast<long long>(move_early_half(Bits));
  constexpr auto late = static_cast<long long>(move_late_half(Bits));
  return _mm512_set_epi64(late, early, late, early, late, early, late, early);
}

// The four parts of a vector moved onto the last of them, by 384, 256, 128 and no bits, and what they are together.
LENSKIT_CRC32C_WIDE_TARGET inline std::uint64_t sum_of_parts(__m512i parts) noexcept {
  constexpr auto number = [](std::uint64_t word) { return static_cast<long long>(word); };
  const auto by =
      _mm512_set_epi64(0, 0, number(move_late_half(128)), number(move_early_half(128)), number(move_late_half(256)),
                       number(move_early_half(256)), number(move_late_half(384)), number(move_early_half(384)));
  alignas(vector_bytes) std::array<std::uint64_t, 8> first_three;
  alignas(vector_bytes) std::array<std::uint64_t, 8> as_they_are;
  _mm512_store_si512(first_three.data(), moved(parts, by));
  _mm512_store_si512(as_they_are.data(), parts);
  const auto early = first_three[0] ^ first_three[2] ^ first_three[4] ^ as_they_are[6];
  const auto late = first_three[1] ^ first_three[3] ^ first_three[5] ^ as_they_are[7];
  return step(step(0, early), late);
}

// Sums up whole rounds of vectors; what is left over stays in `next` and `bytes`.
LENSKIT_CRC32C_WIDE_TARGET std::uint64_t add_vectors(std::uint64_t crc, const unsigned char*& next,
                                                     std::size_t& bytes) noexcept {
  constexpr std::size_t round = vectors * vector_bytes;
  if (bytes < 2 * round) return crc;
  __m512i sums[vectors];  // an array of the library's would drop what is special about the type
  for (std::size_t i = 0; i < vectors; ++i) sums[i] = load_vector(next, i);
  sums[0] = _mm512_xor_si512(sums[0], _mm512_zextsi128_si512(_mm_cvtsi64_si128(static_cast<long long>(crc))));
  const auto by_round = distance<8 * round>();
  for (next += round, bytes -= round; bytes >= round; next += round, bytes -= round) {
    for (std::size_t i = 0; i < vectors; ++i)
      sums[i] = _mm512_xor_si512(moved(sums[i], by_round), load_vector(next, i));
  }
  const auto by_vector = distance<8 * vector_bytes>();
  for (std::size_t i = 1; i < vectors; ++i) sums[i] = _mm512_xor_si512(moved(sums[i - 1], by_vector), sums[i]);
  return sum_of_parts(sums[vectors - 1]);
}
#else
inline std::uint64_t step(std::uint64_t crc, std::uint64_t word) noexcept {
  return __crc32cd(static_cast<std::uint32_t>(crc), word);
}
inline std::uint64_t step(std::uint64_t crc, unsigned char byte) noexcept {
  return __crc32cb(static_cast<std::uint32_t>(crc), byte);
}
bool find_hardware() noexcept { return true; }
bool find_wide_hardware() noexcept { return false; }
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
bool find_wide_hardware() noexcept { return false; }
std::uint32_t add_in_hardware(std::uint32_t crc, const unsigned char* next, std::size_t bytes) noexcept {
  return add_by_table(crc, next, bytes);
}

#endif

std::uint32_t add_in_wide_hardware(std::uint32_t crc, const unsigned char* next, std::size_t bytes) noexcept {
#if defined(__x86_64__)
  crc = static_cast<std::uint32_t>(add_vectors(crc, next, bytes));
#endif
  return add_in_hardware(crc, next, bytes);
}

template <auto Add>
std::uint32_t sum(const void* data, std::size_t bytes, std::uint32_t seed) noexcept {
  return ~Add(~seed, static_cast<const unsigned char*>(data), bytes);
}

constexpr std::array ways{&sum<add_by_table>, &sum<add_in_hardware>, &sum<add_in_wide_hardware>};

std::size_t find_ways() noexcept { return std::size_t{1} + find_hardware() + find_wide_hardware(); }
const std::size_t n_ways = find_ways();

}  // namespace

std::uint32_t crc32c(const void* data, std::size_t bytes, std::uint32_t seed) noexcept {
  // Before static initialisation the number is 0, which is slow but right.
  return ways[n_ways == 0 ? 0 : n_ways - 1](data, bytes, seed);
}

std::span<std::uint32_t (*const)(const void*, std::size_t, std::uint32_t) noexcept> crc32c_ways() noexcept {
  return std::span(ways).first(n_ways);
}

}  // namespace lenskit::detail
