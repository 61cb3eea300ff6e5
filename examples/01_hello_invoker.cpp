// An invoker applies a function to one model and many arguments, in worker processes that share the model.
#include <lenskit/parallel.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <utility>
#include <vector>

struct als_model {
  lenskit::shared_array<float> items;  // rows of n_features; in memory once, however many workers read it
  lenskit::shared_array<float> users;
  std::size_t n_features = 0;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& items& users& n_features;
  }
};

using scored_item = std::pair<int, float>;

static std::vector<scored_item> top2(const als_model& model, std::size_t user) {
  std::vector<scored_item> scores;
  for (std::size_t item = 0; item < model.items.size() / model.n_features; ++item) {
    float score = 0;
    for (std::size_t f = 0; f < model.n_features; ++f)
      score += model.users[user * model.n_features + f] * model.items[item * model.n_features + f];
    scores.emplace_back(static_cast<int>(item), score);
  }
  std::sort(scores.begin(), scores.end(), [](auto& a, auto& b) { return a.second > b.second; });
  scores.resize(2);
  return scores;
}

int main() {
  const als_model model{{1, 0, 0, 1, 1, 1}, {0.9F, 0.1F, 0.2F, 0.8F}, 2};  // three items, two users
  const std::vector<std::size_t> users{0, 1};

  lenskit::invoker inv(model, top2, 2);  // two worker processes
  std::size_t user = 0;
  for (const auto& recommendations : inv.map(users)) {  // lazily, and in the order of the users
    for (const auto& [item, score] : recommendations) std::printf("user %zu: item %d, %.1f\n", user, item, score);
    ++user;
  }
}

// Output:
// user 0: item 2, 1.0
// user 0: item 0, 0.9
// user 1: item 2, 1.0
// user 1: item 1, 0.8
