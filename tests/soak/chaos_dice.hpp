// What a chaos run draws by lot: the same seed draws the same, in any process.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lenskit::soak::chaos {

/// A bijection of 64-bit numbers that leaves no pattern (SplitMix64).
constexpr std::uint64_t scramble(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept { return scramble(a ^ scramble(b)); }

class dice {
 public:
  explicit constexpr dice(std::uint64_t seed) noexcept : state_(scramble(seed)) {}

  constexpr std::uint64_t next() noexcept { return scramble(state_++); }
  constexpr std::uint64_t below(std::uint64_t end) noexcept { return next() % end; }
  constexpr int between(int first, int last) noexcept {
    return first + static_cast<int>(below(static_cast<std::uint64_t>(last - first + 1)));
  }
  constexpr bool one_in(std::uint64_t n) noexcept { return below(n) == 0; }
  template <class Container>
  constexpr auto& pick(const Container& from) noexcept {
    return from[static_cast<std::size_t>(below(from.size()))];
  }

 private:
  std::uint64_t state_;
};

}  // namespace lenskit::soak::chaos
