#include "item_knn.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace {

constexpr std::size_t most_neighbours = 50;

// The neighbours of a chunk of items: a plain aggregate, which crosses from a worker without any code of ours.
struct chunk_neighbours {
  std::vector<std::uint64_t> counts;
  std::vector<neighbour> neighbours;
};

bool closer(const neighbour& a, const neighbour& b) {
  return a.similarity != b.similarity ? a.similarity > b.similarity : a.item < b.item;
}

chunk_neighbours find_neighbours(const rating_table& rated, std::pair<std::size_t, std::size_t> chunk) {
  chunk_neighbours found;
  std::vector<float> together(rated.users_of_item.size());  // users who rated both items
  std::vector<std::uint32_t> touched;
  std::vector<neighbour> near;
  for (auto item = chunk.first; item < chunk.second; ++item) {
    for (const auto user : rated.users_of_item[item]) {
      for (const auto other : rated.items_of_user[user]) {
        if (together[other]++ == 0) touched.push_back(other);
      }
    }
    const auto length = static_cast<float>(rated.users_of_item[item].size());
    for (const auto other : touched) {
      const auto other_length = static_cast<float>(rated.users_of_item[other].size());
      if (other != item) near.push_back({other, together[other] / std::sqrt(length * other_length)});
      together[other] = 0;
    }
    const auto kept = std::min(near.size(), most_neighbours);
    std::partial_sort(near.begin(), near.begin() + static_cast<std::ptrdiff_t>(kept), near.end(), closer);
    found.neighbours.insert(found.neighbours.end(), near.begin(), near.begin() + static_cast<std::ptrdiff_t>(kept));
    found.counts.push_back(kept);
    touched.clear();
    near.clear();
  }
  return found;
}

std::vector<std::uint32_t> by_popularity(const rating_table& rated) {
  std::vector<std::uint32_t> items(rated.users_of_item.size());
  std::iota(items.begin(), items.end(), 0U);
  std::stable_sort(items.begin(), items.end(),
                   [&](auto a, auto b) { return rated.users_of_item[a].size() > rated.users_of_item[b].size(); });
  return items;
}

}  // namespace

item_knn train(rating_table table, int n_jobs) {
  const auto n_items = table.users_of_item.size();
  const auto chunks = lenskit::work_chunks::create(n_items);
  lenskit::invoker inv(table, find_neighbours,
                       {.n_jobs = n_jobs, .progress = lenskit::invoke_progress("training", chunks.size())});
  std::vector<std::uint64_t> starts{0};
  std::vector<neighbour> neighbours;
  for (const auto& part : inv.map(chunks)) {  // in order, so that the parts can be appended
    for (const auto count : part.counts) starts.push_back(starts.back() + count);
    neighbours.insert(neighbours.end(), part.neighbours.begin(), part.neighbours.end());
  }
  auto popular = by_popularity(table);
  return {std::move(table), {std::move(starts), std::move(neighbours)}, std::move(popular)};
}
