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
  static constexpr std::size_t group = 32;  // of items, stored factor by factor, so that one vector holds several items
  static_assert(n_items % group == 0);

  std::vector<float> users;
  std::vector<float> items;

  explicit recommender(std::size_t n_users) : users(random_factors(n_users, 1)), items(random_factors(n_items, 2)) {}

  [[nodiscard]] std::size_t n_users() const { return users.size() / n_factors; }

  /// The best items for a user, the best first.
  [[nodiscard]] std::vector<std::uint32_t> recommend(std::size_t user) const {
    thread_local std::vector<float> scores(n_items);
    score_items(users.data() + user * n_factors, items.data(), scores.data());
    std::vector<std::uint32_t> best(list_length);
    std::iota(best.begin(), best.end(), 0U);
    const auto better = [&](std::uint32_t a, std::uint32_t b) {
      return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
    };
    std::make_heap(best.begin(), best.end(), better);  // the worst of them in front
    for (std::uint32_t item = list_length; item < n_items; ++item) {
      if (!better(item, best.front())) continue;
      std::pop_heap(best.begin(), best.end(), better);
      best.back() = item;
      std::push_heap(best.begin(), best.end(), better);
    }
    std::sort_heap(best.begin(), best.end(), better);
    return best;
  }

 private:
  static void score_items(const float* taste, const float* items, float* scores);

  static std::vector<float> random_factors(std::size_t rows, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<float> factors(rows * n_factors);
    for (auto& each : factors) each = uniform(random);
    return factors;
  }
};

}  // namespace bench
