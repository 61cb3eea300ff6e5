#include "split.hpp"

#include <lenskit/parallel.hpp>

#include <algorithm>
#include <random>

rating_split hold_out_a_fifth(const rating_data& data) {
  std::vector<std::vector<rating>> of_user(data.user_ids.size());
  for (const auto& each : data.ratings) of_user[each.user].push_back(each);

  rating_split split;
  split.held_out.resize(of_user.size());
  for (std::size_t user = 0; user < of_user.size(); ++user) {
    auto& ratings = of_user[user];
    auto seed = lenskit::derive_seed("split", data.user_ids[user]);
    std::mt19937_64 rng(seed);
    std::shuffle(ratings.begin(), ratings.end(), rng);
    const auto kept = ratings.begin() + static_cast<std::ptrdiff_t>(ratings.size() / 5);
    for (auto each = ratings.begin(); each != kept; ++each) split.held_out[user].push_back(each->item);
    std::sort(split.held_out[user].begin(), split.held_out[user].end());
    split.train.insert(split.train.end(), kept, ratings.end());
  }
  return split;
}
