// T5: the memory of a pool and of its model: the sum of the proportional set sizes of all its processes.
#include <support/child.hpp>
#include <support/contest.hpp>
#include <support/memory.hpp>

#include <lenskit/parallel.hpp>

#include <ranges>
#include <utility>
#include <vector>

namespace {

constexpr int many_workers = 8;

template <class Array>
struct factors {
  Array items;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& items;
  }
};
using shared_factors = factors<lenskit::shared_array<float>>;
using plain_factors = factors<std::vector<float>>;

// Reads every page of the model, so that whoever has a copy of its own is found out.
constexpr auto read_all = [](const auto& model, int x) {
  constexpr std::size_t page = 4096 / sizeof(float);
  auto sum = static_cast<float>(x);
  for (std::size_t i = 0; i < model.items.size(); i += page) sum += model.items[i];
  return sum;
};

template <class Model>
Model make_model(std::size_t bytes) {
  return {std::vector<float>(bytes / sizeof(float), 1.0F)};
}

// When every worker has run tasks. More tasks than workers, so that none is left out.
template <class Model>
double bytes_of_pool(Model&& model, int n_workers) {
  lenskit::invoker pool(std::forward<Model>(model), read_all, {.n_jobs = n_workers, .chunk_size = 1});
  constexpr int tasks_per_worker = 4;
  for (const auto x : pool.map(std::views::iota(0, n_workers * tasks_per_worker))) bench::keep(x);
  return bench::pss_of_tree();
}

void measure(const char* what, const char* name, auto&& bytes) {
  bench::run_apart([&] {
    bench::contest contest("T5", what, "bytes");
    contest.add(name, bytes);
    contest.run(1);
  });
}

}  // namespace

int main(int argc, char** argv) {
  bench::initialize(argc, argv);
  constexpr std::size_t model_bytes = std::size_t{1} << 30;
  measure("1 GB, original kept", "shared_array", [] {
    const auto model = make_model<shared_factors>(model_bytes);
    return bytes_of_pool(model, many_workers);
  });
  measure("1 GB, original kept", "vector", [] {
    const auto model = make_model<plain_factors>(model_bytes);
    return bytes_of_pool(model, many_workers);
  });
  measure("1 GB, moved in", "shared_array",
          [] { return bytes_of_pool(make_model<shared_factors>(model_bytes), many_workers); });
  measure("1 GB, moved in", "vector",
          [] { return bytes_of_pool(make_model<plain_factors>(model_bytes), many_workers); });
  measure("small model", "8 workers",
          [] { return bytes_of_pool(make_model<shared_factors>(sizeof(float)), many_workers); });
  measure("small model", "64 workers",
          [] { return bytes_of_pool(make_model<shared_factors>(sizeof(float)), 8 * many_workers); });
  measure("1 GB, limits", "model", [] { return static_cast<double>(model_bytes); });
}
