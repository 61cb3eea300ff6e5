#include "ratings.hpp"

#include <lenskit/parallel.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <unordered_set>

namespace {

constexpr std::size_t n_genres = 18;
constexpr std::size_t fewest_ratings = 20;  // MovieLens leaves out users with fewer

// Draws items: all of them, or those of one genre; the first are the most popular.
class shop {
 public:
  explicit shop(std::size_t n_items) : genres_(n_genres), weights_(n_genres) {
    for (std::size_t item = 0; item < n_items; ++item) {
      const double weight = std::pow(static_cast<double>(item) + 12, -1.1);
      genres_[item % n_genres].push_back(static_cast<std::uint32_t>(item));
      weights_[item % n_genres].push_back(weight);
      all_.push_back(weight);
    }
    for (auto& each : weights_) by_genre_.emplace_back(each.begin(), each.end());
    any_ = std::discrete_distribution<std::uint32_t>(all_.begin(), all_.end());
  }
  template <class Rng>
  std::uint32_t any(Rng& rng) {
    return any_(rng);
  }
  template <class Rng>
  std::uint32_t of_genre(std::size_t genre, Rng& rng) {
    return genres_[genre][by_genre_[genre](rng)];
  }

 private:
  std::vector<std::vector<std::uint32_t>> genres_;
  std::vector<std::vector<double>> weights_;
  std::vector<double> all_;
  std::vector<std::discrete_distribution<std::size_t>> by_genre_;
  std::discrete_distribution<std::uint32_t> any_;
};

}  // namespace

rating_data generate_ratings(std::size_t n_users, std::size_t n_items) {
  auto seed = lenskit::derive_seed("ratings");
  std::mt19937_64 rng(seed);
  shop items(n_items);
  std::lognormal_distribution<double> activity(std::log(60.0), 1.15);
  std::uniform_int_distribution<std::size_t> genre(0, n_genres - 1);
  std::normal_distribution<float> opinion(3.5F, 1);

  rating_data data;
  data.user_ids.resize(n_users);
  data.item_ids.resize(n_items);
  std::iota(data.user_ids.begin(), data.user_ids.end(), 1);
  std::iota(data.item_ids.begin(), data.item_ids.end(), 1);
  for (std::uint32_t user = 0; user < n_users; ++user) {
    const std::size_t favourites[] = {genre(rng), genre(rng), genre(rng)};
    const auto wanted = std::min(fewest_ratings + static_cast<std::size_t>(activity(rng)), n_items / 4);
    std::unordered_set<std::uint32_t> rated;
    while (rated.size() < wanted) {
      const bool to_taste = rng() % 4 != 0;
      const auto item = to_taste ? items.of_genre(favourites[rng() % 3], rng) : items.any(rng);
      if (!rated.insert(item).second) continue;
      const float stars = std::clamp(opinion(rng) + (to_taste ? 0.3F : -0.3F), 0.5F, 5.0F);
      data.ratings.push_back({user, item, std::round(stars * 2) / 2});
    }
  }
  return data;
}
