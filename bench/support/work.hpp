// Tasks that take a given time, the same for every contestant.
#pragma once

#include <support/contest.hpp>

#include <algorithm>
#include <cstdint>

namespace bench {

/// A chain of steps of which each needs the one before.
[[nodiscard]] inline std::uint64_t work(std::uint64_t steps) {
  std::uint64_t x = steps;
  for (std::uint64_t i = 0; i < steps; ++i) {
    x = x * 6364136223846793005U + 1442695040888963407U;
    keep(x);
  }
  return x;
}

/// Steps that take `seconds`, on this machine in this run.
[[nodiscard]] inline std::uint64_t steps_for(double seconds) {
  static const double per_step = [] {
    constexpr std::uint64_t steps = 5'000'000;
    double least = 1;
    for (int round = 0; round < 7; ++round) least = std::min(least, seconds_of([] { keep(work(steps)); }));
    return least / static_cast<double>(steps);
  }();
  return static_cast<std::uint64_t>(seconds / per_step);
}

}  // namespace bench
