#include <support/recommender.hpp>

namespace bench {

// As NumPy does, it takes the widest vectors that the machine has.
#ifdef __x86_64__
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]]
#endif
void recommender::score_items(const float* taste, const float* items, float* scores) {
  for (std::size_t first = 0; first < n_items; first += group) {
    float sums[group] = {};
    for (std::size_t factor = 0; factor < n_factors; ++factor) {
      for (std::size_t i = 0; i < group; ++i) sums[i] += taste[factor] * items[i];
      items += group;
    }
    std::copy(sums, sums + group, scores + first);
  }
}

}  // namespace bench
