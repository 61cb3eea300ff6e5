// Training runs in a process of its own and hands the model over: whatever memory it took ends with that process.
#include <lenskit/parallel.hpp>

#include <spdlog/spdlog.h>

#include <cstddef>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

struct factors {
  lenskit::shared_array<double> values;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& values;
  }
};

static lenskit::persisted_model<factors> train(std::size_t n_items) {
  if (n_items == 0) throw std::invalid_argument("no items to train on");
  auto seed = lenskit::derive_seed();  // derived from the parent's root seed, so the run can be repeated
  std::mt19937_64 rng(seed);
  std::vector<double> values(n_items);
  for (double& value : values) value = static_cast<double>(rng() % 1000) / 1000;
  spdlog::info("trained {} items, in a worker: {}", n_items, lenskit::is_worker());
  auto stored = lenskit::persist(factors{std::move(values)});
  stored.transfer();  // whoever receives it becomes its owner
  return stored;
}

int main() {
  spdlog::set_pattern("%l: %v");
  lenskit::init_rng(42);

  auto trained = lenskit::run_sp(train, 1000);
  std::printf("%zu items, mine: %s\n", trained.get().values.size(), trained.is_owner() ? "yes" : "no");

  auto best_of = [](const factors& model, std::size_t begin, std::size_t end) {
    double best = 0;
    for (std::size_t i = begin; i < end; ++i) best = model.values[i] > best ? model.values[i] : best;
    return best;
  };
  lenskit::invoker inv(trained, best_of, 2);  // uses the stored model as it is
  const auto best = inv.map(std::vector<std::size_t>{0, 500}, std::vector<std::size_t>{500, 1000}).collect();
  std::printf("best of each half: %.3f %.3f\n", best[0], best[1]);

  try {
    lenskit::run_sp(train, 0);
  } catch (const std::invalid_argument& error) {  // keeps its type on the way
    std::printf("failed: %s\n", error.what());
  }
}

// Output:
// info: trained 1000 items, in a worker: true
// 1000 items, mine: yes
// best of each half: ... ...
// failed: ...no items to train on...
