// How good lists of recommendations are, how fast they were made, and how much memory the pool took.
#pragma once

#include "item_knn.hpp"
#include "split.hpp"

#include <cstddef>
#include <vector>

struct quality {
  double recall = 0;  // the share of the held-out items that is among the 10
  double ndcg = 0;    // the same, where a hit counts for less the further down it stands
};

using all_recommendations = std::vector<std::vector<recommendation>>;  // by user

// The mean over all users that have held-out items.
quality evaluate(const all_recommendations& lists, const std::vector<std::vector<std::uint32_t>>& held_out);

struct speed {
  double users_per_second = 0;  // the median of some rounds
  std::size_t memory = 0;       // bytes: the PSS of this process and all its descendants, while the pool lives
};

// Recommends to all users with each engine's workers already running. Throws std::runtime_error if an engine gives
// other results than `expected`.
speed measure(const item_knn& model, const std::vector<std::uint32_t>& users, const all_recommendations& expected,
              lenskit::engine engine, int n_jobs);
