// Item-item nearest neighbours: a user is recommended the items that are closest to what the user has rated, where
// items are close if the same users rated them (the cosine of who rated them, whatever the rating).
#pragma once

#include "ratings.hpp"

#include <lenskit/parallel.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

// Lists of items or users, one after the other: list i is values[starts[i]] up to values[starts[i + 1]].
template <class T>
struct lists {
  lenskit::shared_array<std::uint64_t> starts;
  lenskit::shared_array<T> values;
  [[nodiscard]] std::size_t size() const { return starts.empty() ? 0 : starts.size() - 1; }
  [[nodiscard]] auto operator[](std::size_t i) const {
    return values.span().subspan(starts[i], starts[i + 1] - starts[i]);
  }
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& starts& values;
  }
};

// Who rated what.
struct rating_table {
  lists<std::uint32_t> items_of_user;
  lists<std::uint32_t> users_of_item;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& items_of_user& users_of_item;
  }
};

struct neighbour {
  std::uint32_t item = 0;
  float similarity = 0;
};

// Every member is in shared_arrays or small: workers read it where the parent stored it.
struct item_knn {
  rating_table rated;
  lists<neighbour> neighbours;                         // of each item, the most similar first
  lenskit::shared_array<std::uint32_t> by_popularity;  // all items, the most rated first
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& rated& neighbours& by_popularity;
  }
};

rating_table make_table(const std::vector<rating>& ratings, std::size_t n_users, std::size_t n_items);

// Finds the neighbours of all items, in parallel by chunks of items.
item_knn train(rating_table table, int n_jobs);

struct recommendation {
  std::uint32_t item = 0;
  float score = 0;
};

// The 10 best items for a user that the user has not rated. Each worker has its own copy, and in it its own scratch.
class recommend {
 public:
  std::vector<recommendation> operator()(const item_knn& model, std::uint32_t user);

 private:
  std::vector<float> is_rated_;  // of each item, 1 or 0
};

// The 10 items with the most ratings that the user has not rated.
std::vector<recommendation> recommend_popular(const item_knn& model, std::uint32_t user);
