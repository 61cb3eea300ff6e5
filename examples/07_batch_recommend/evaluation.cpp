#include "evaluation.hpp"

#include <algorithm>
#include <cmath>

quality evaluate(const all_recommendations& lists, const std::vector<std::vector<std::uint32_t>>& held_out) {
  quality sum;
  std::size_t n_users = 0;
  for (std::size_t user = 0; user < lists.size(); ++user) {
    const auto& wanted = held_out[user];
    if (wanted.empty()) continue;
    double hits = 0;
    double gain = 0;
    double best_gain = 0;
    for (std::size_t place = 0; place < lists[user].size(); ++place) {
      const double worth = 1 / std::log2(static_cast<double>(place) + 2);
      if (place < wanted.size()) best_gain += worth;
      if (!std::binary_search(wanted.begin(), wanted.end(), lists[user][place].item)) continue;
      hits += 1;
      gain += worth;
    }
    ++n_users;
    sum.recall += hits / static_cast<double>(wanted.size());
    if (best_gain > 0) sum.ndcg += gain / best_gain;
  }
  if (n_users == 0) return {};
  return {sum.recall / static_cast<double>(n_users), sum.ndcg / static_cast<double>(n_users)};
}
