// The cases of LensKit 0.14's own tests of parallel execution and sharing, in C++.
#include <lenskit/parallel.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/file_tree.hpp>
#include <support/message_of.hpp>
#include <support/variable.hpp>

#include <cstddef>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

using lenskit::engine;
using lenskit::invoker;
using lenskit::persist;
using lenskit::persist_method;
using lenskit::run_sp;
using lenskit::tests::variable;

namespace {

constexpr std::size_t side = 100;
using vector = std::vector<double>;

struct matrix {
  lenskit::shared_array<double> cells;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& cells;
  }
  friend bool operator==(const matrix& a, const matrix& b) { return std::ranges::equal(a.cells, b.cells); }
};

vector random_values(std::size_t count, unsigned seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<double> normal;
  vector values(count);
  for (double& value : values) value = normal(rng);
  return values;
}

matrix random_matrix(unsigned seed) { return {lenskit::shared_array<double>(random_values(side * side, seed))}; }

vector multiply(const matrix& m, const vector& v) {
  vector product(side);
  for (std::size_t row = 0; row < side; ++row) {
    for (std::size_t column = 0; column < side; ++column) product[row] += m.cells[row * side + column] * v[column];
  }
  return product;
}

[[maybe_unused]] matrix multiply_matrices(const matrix& a, const matrix& b, bool fail = false) {
  if (fail) throw std::runtime_error("you rang?");
  vector cells(side * side);
  for (std::size_t row = 0; row < side; ++row) {
    for (std::size_t k = 0; k < side; ++k) {
      for (std::size_t column = 0; column < side; ++column) {
        cells[row * side + column] += a.cells[row * side + k] * b.cells[k * side + column];
      }
    }
  }
  return {lenskit::shared_array<double>(std::move(cells))};
}

void check_products(lenskit::invoker_options options) {
  const auto m = random_matrix(1);
  std::vector<vector> vectors;
  for (unsigned i = 0; i < 100; ++i) vectors.push_back(random_values(side, i));
  invoker inv(m, multiply, options);
  std::size_t at = 0;
  for (const vector& product : inv.map(vectors)) CHECK(product == multiply(m, vectors[at++]));
  CHECK(at == vectors.size());
}

// Knows how it was stored.
struct picky {
  bool shared = false;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    bool now = lenskit::in_share_context();
    ar& now;
    shared = now;
  }
};

}  // namespace

TEST_CASE("an invoker multiplies a matrix with vectors, with any number of jobs") {
  const auto n_jobs = GENERATE(std::optional<int>(), std::optional(1), std::optional(2), std::optional(8));
  ON_EVERY_ENGINE(engine);
  check_products({.n_jobs = n_jobs, .engine = engine});
}

#ifndef __SANITIZE_THREAD__

TEST_CASE("the engine is chosen by the number of jobs", "[no_tsan]") {
  const auto n_jobs = GENERATE(std::optional<int>(), std::optional(1), std::optional(2), std::optional(8));
  const variable one_processor("LK_NUM_PROCS", n_jobs ? std::nullopt : std::optional<std::string>("3"));
  check_products({.n_jobs = n_jobs});
  invoker inv(0, [](int, int x) { return x; }, {.n_jobs = n_jobs});
  CHECK(inv.n_jobs() == n_jobs.value_or(3));
  CHECK(inv.engine() == (inv.n_jobs() == 1 ? engine::in_process : engine::processes));
}

TEST_CASE("workers of a pool and subprocesses know what they are", "[no_tsan]") {
  const auto flags = [](int, int) {
    return std::tuple(lenskit::is_worker(), lenskit::is_mp_worker(), lenskit::worker_index());
  };
  CHECK(flags(0, 0) == std::tuple(false, false, std::nullopt));
  for (const auto which : {engine::threads, engine::processes}) {
    invoker inv(0, flags, {.n_jobs = 2, .engine = which});
    for (const auto& [worker, mp_worker, index] : inv.map(vector(20))) {
      CHECK(worker);
      CHECK(mp_worker);
      CHECK((index == 0 || index == 1));
    }
  }
  invoker here(0, flags, 1);
  for (const auto& each : here.map(std::vector{1, 2})) CHECK(each == std::tuple(false, false, std::nullopt));
  CHECK(run_sp(flags, 0, 0) == std::tuple(true, false, std::nullopt));
  CHECK(flags(0, 0) == std::tuple(false, false, std::nullopt));
}

TEST_CASE("run_sp returns the value", "[no_tsan]") {
  const auto a = random_matrix(1), b = random_matrix(2);
  CHECK(run_sp(multiply_matrices, a, b, false) == multiply_matrices(a, b));
}

TEST_CASE("run_sp throws what the function threw", "[no_tsan]") {
  const auto a = random_matrix(1), b = random_matrix(2);
  const auto fail = [&] { run_sp(multiply_matrices, a, b, true); };
  CHECK_THROWS_AS(fail(), std::runtime_error);
  CHECK_THROWS_AS(fail(), lenskit::task_error);
  CHECK(lenskit::tests::message_of(fail) == "you rang?");
}

TEST_CASE("run_sp hands over a model by each method", "[no_tsan]") {
  const auto method =
      GENERATE(persist_method::automatic, persist_method::shm, persist_method::file, persist_method::inherit);
  INFO("method " << static_cast<int>(method));
  const auto a = random_matrix(1), b = random_matrix(2);
  auto product = run_sp([&] {
    auto stored = persist(multiply_matrices(a, b), {.method = method});
    return std::move(stored.transfer());
  });
  CHECK(product.is_owner());
  CHECK(product.get() == multiply_matrices(a, b));
  const auto path = product.path();
  CHECK(path.empty() == (product.method() != persist_method::file));
  CHECK((path.empty() || std::filesystem::exists(path)));
  invoker inv(product, multiply, 2);
  const auto v = random_values(side, 3);
  CHECK(inv.map(std::vector{v, v}).collect().at(1) == multiply(product.get(), v));
  product.close();
  CHECK_FALSE((!path.empty() && std::filesystem::exists(path)));
  product.close();
}

TEST_CASE("run_sp gives the subprocess the next child of the root seed", "[no_tsan]") {
  lenskit::init_rng(42);
  for (int time = 0; time < 3; ++time) {
    const auto [entropy, key] =
        run_sp([] { return std::pair(lenskit::root_seed().entropy(), lenskit::root_seed().spawn_key()); });
    const auto& root = lenskit::root_seed();
    CHECK(entropy == root.entropy());
    REQUIRE(key.size() == 1);
    CHECK(key.front() == root.n_children_spawned() - 1);
  }
}

TEST_CASE("models are persisted in sharing mode, results are not", "[no_tsan]") {
  CHECK_FALSE(lenskit::in_share_context());
  {
    const lenskit::sharing_mode mode;
    CHECK(lenskit::in_share_context());
  }
  CHECK_FALSE(lenskit::in_share_context());
  invoker inv(picky(), [](const picky& m, const picky& x) { return std::tuple(m.shared, x.shared, picky()); },
              {.n_jobs = 2, .persist_method = GENERATE(persist_method::shm, persist_method::file)});
  for (const auto& [model, argument, result] : inv.map(std::vector<picky>(2))) {
    CHECK(model);
    CHECK_FALSE(argument);
    CHECK_FALSE(result.shared);
  }
}

TEST_CASE("a model is persisted by default, by method and by LK_TEMP_DIR", "[no_tsan]") {
  const auto m = random_matrix(4);
  const auto v = random_values(side, 5);
  const auto works = [&](lenskit::persisted_model<matrix>& stored) {
    invoker inv(stored, multiply, 2);
    return stored.is_owner() && stored.get() == m &&
           inv.map(std::vector<vector>{v}).collect().front() == multiply(m, v);
  };
  SECTION("by default in shared memory") {
    const variable none("LK_TEMP_DIR", std::nullopt);
    auto stored = persist(m);
    CHECK(stored.method() == persist_method::shm);
    CHECK(works(stored));
  }
  SECTION("by each method") {
    for (const auto method : {persist_method::shm, persist_method::file, persist_method::inherit}) {
      auto stored = persist(m, {.method = method});
      CHECK(stored.method() == method);
      CHECK(works(stored));
    }
  }
  SECTION("in the directory of LK_TEMP_DIR") {
    const lenskit::tests::file_tree directory;
    const variable here("LK_TEMP_DIR", directory.root().string());
    auto stored = persist(m);
    CHECK(stored.method() == persist_method::file);
    CHECK(stored.path().parent_path() == directory.root());
    CHECK(works(stored));
    invoker own(m, multiply, 2);
    CHECK(own.map(std::vector<vector>{v}).collect().front() == multiply(m, v));
  }
  SECTION("by the option of the invoker") {
    const auto method = GENERATE(persist_method::shm, persist_method::file, persist_method::inherit);
    invoker inv(m, multiply, {.n_jobs = 2, .persist_method = method});
    CHECK(inv.map(std::vector{v, v, v}).collect().back() == multiply(m, v));
  }
}
#endif
