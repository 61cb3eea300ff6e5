#include "item_knn.hpp"

#include <algorithm>

namespace {

constexpr std::size_t list_length = 10;

bool better(const recommendation& a, const recommendation& b) {
  return a.score != b.score ? a.score > b.score : a.item < b.item;
}

bool contains(const std::vector<recommendation>& list, std::uint32_t item) {
  return std::any_of(list.begin(), list.end(), [&](const auto& each) { return each.item == item; });
}

// Appends popular items until the list is long enough.
void fill_up(std::vector<recommendation>& list, const item_knn& model, std::uint32_t user) {
  const auto rated = model.rated.items_of_user[user];
  for (const auto item : model.by_popularity) {
    if (list.size() == list_length) return;
    if (std::find(rated.begin(), rated.end(), item) == rated.end() && !contains(list, item)) list.push_back({item, 0});
  }
}

}  // namespace

std::vector<recommendation> recommend::operator()(const item_knn& model, std::uint32_t user) {
  const auto rated = model.rated.items_of_user[user];
  is_rated_.assign(model.neighbours.size(), 0);
  for (const auto item : rated) is_rated_[item] = 1;

  std::vector<recommendation> best;
  for (std::uint32_t item = 0; item < is_rated_.size(); ++item) {
    if (is_rated_[item] != 0) continue;
    float score = 0;  // the sum over those of its neighbours that the user has rated
    for (const auto& near : model.neighbours[item]) score += is_rated_[near.item] * near.similarity;
    if (score > 0) best.push_back({item, score});
  }
  const auto kept = std::min(best.size(), list_length);
  std::partial_sort(best.begin(), best.begin() + static_cast<std::ptrdiff_t>(kept), best.end(), better);
  best.resize(kept);
  fill_up(best, model, user);
  return best;
}

std::vector<recommendation> recommend_popular(const item_knn& model, std::uint32_t user) {
  std::vector<recommendation> popular;
  fill_up(popular, model, user);
  return popular;
}
