// A recommender by matrix factors, the same for every contestant: all items are scored and the best are kept.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <span>
#include <vector>

namespace bench {

struct recommender {
  static constexpr std::size_t n_factors = 64;
  static constexpr std::size_t n_items = 60'000;
  static constexpr std::size_t list_length = 100;

  std::vector<float> users;
  std::vector<float> items;

  explicit recommender(std::size_t n_users) : users(random_factors(n_users, 1)), items(random_factors(n_items, 2)) {}

  [[nodiscard]] std::size_t n_users() const { return users.size() / n_factors; }

  /// The best items for a user, the best first.
  [[nodiscard]] std::vector<std::uint32_t> recommend(std::size_t user) const {
    thread_local std::vector<float> scores(n_items);
    thread_local std::vector<std::uint32_t> order(n_items);
    const auto* taste = users.data() + user * n_factors;
    for (std::size_t i = 0; i < n_items; ++i) scores[i] = dot(taste, items.data() + i * n_factors);
    std::iota(order.begin(), order.end(), 0U);
    const auto better = [&](std::uint32_t a, std::uint32_t b) {
      return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
    };
    const auto end = order.begin() + list_length;
    std::nth_element(order.begin(), end - 1, order.end(), better);
    std::sort(order.begin(), end, better);
    return {order.begin(), end};
  }

 private:
  // Sums in four lanes: a single sum could not be computed with vector instructions.
  static float dot(const float* a, const float* b) {
    constexpr std::size_t lanes = 4;
    float sums[lanes] = {};
    for (std::size_t i = 0; i < n_factors; i += lanes) {
      for (std::size_t lane = 0; lane < lanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
    }
    return sums[0] + sums[1] + sums[2] + sums[3];
  }

  static std::vector<float> random_factors(std::size_t rows, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<float> factors(rows * n_factors);
    for (auto& each : factors) each = uniform(random);
    return factors;
  }
};

}  // namespace bench
