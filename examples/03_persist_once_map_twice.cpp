// A model is stored once and used by several invokers: each start costs no more than that of a small model.
#include <lenskit/parallel.hpp>

#include <cstddef>
#include <cstdio>
#include <numeric>
#include <utility>
#include <vector>

struct popularity {
  lenskit::shared_array<float> counts;
  std::vector<float> cache;  // left out of a model that is kept for good, shared with the workers of this run
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& counts;
    if (lenskit::in_share_context()) ar& cache;
  }
};

static float probability(const popularity& model, std::size_t item) { return model.counts[item] / model.cache[0]; }

static std::size_t above(const popularity& model, float limit) {
  std::size_t found = 0;
  for (const float count : model.counts) found += count > limit ? 1U : 0U;
  return found;
}

int main() {
  std::vector<float> counts(1'000'000);
  std::iota(counts.begin(), counts.end(), 0.0F);
  const popularity model{std::move(counts), {1000.0F}};

  auto stored = lenskit::persist(model, {.method = lenskit::persist_method::shm});
  lenskit::invoker probabilities(stored, probability, 2);
  for (const float p : probabilities.map(std::vector<std::size_t>{1, 10, 100})) std::printf("probability %.3f\n", p);

  lenskit::invoker tails(stored, above, 2);  // the same stored model, another function
  for (const std::size_t n : tails.map(std::vector{9.0F, 999'989.0F})) std::printf("%zu items above\n", n);

  stored.close();  // early is safe: the memory is freed when the invokers, too, are done with it
  std::printf("still there: %.3f\n", probabilities.map(std::vector<std::size_t>{5}).collect()[0]);
}

// Output:
// probability 0.001
// probability 0.010
// probability 0.100
// 999990 items above
// 10 items above
// still there: 0.005
