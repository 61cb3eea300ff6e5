#include "item_knn.hpp"

#include <numeric>

// Sorts the ratings into one list for each user, or each item.
template <class Of, class What>
static lists<std::uint32_t> group(const std::vector<rating>& ratings, std::size_t count, Of of, What what) {
  std::vector<std::uint64_t> starts(count + 1);
  for (const auto& each : ratings) ++starts[of(each) + 1];
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  std::vector<std::uint32_t> values(ratings.size());
  auto place = starts;
  for (const auto& each : ratings) values[place[of(each)]++] = what(each);
  return {std::move(starts), std::move(values)};
}

rating_table make_table(const std::vector<rating>& ratings, std::size_t n_users, std::size_t n_items) {
  const auto user = [](const rating& each) { return each.user; };
  const auto item = [](const rating& each) { return each.item; };
  return {group(ratings, n_users, user, item), group(ratings, n_items, item, user)};
}
