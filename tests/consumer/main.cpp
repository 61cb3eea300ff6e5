// A program written from the API page alone. It is built against the installed library, by each way there is to find
// it, and says "ok" if everything it tried came out right.
#include <lenskit/parallel.hpp>

#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

struct als_model {
  lenskit::shared_array<float> items;
  int n_items = 0, n_features = 0;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& items& n_items& n_features;
  }
};

struct recommendation {  // a plain aggregate, with no code for its way to a worker and back
  int item = 0;
  float score = 0;
  std::optional<std::string> note;
};

static void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "failed: %s\n", what);
  std::exit(1);
}

static als_model make_model() {
  std::vector<float> factors(40);
  std::iota(factors.begin(), factors.end(), 0.0F);
  return {lenskit::shared_array<float>(std::move(factors)), 10, 4};
}

static recommendation best(const als_model& model, int user) {
  if (user < 0) throw std::out_of_range("no such user");
  recommendation result;
  for (int item = 0; item < model.n_items; ++item) {
    const float score = model.items[static_cast<std::size_t>(item * model.n_features + user % model.n_features)];
    if (score >= result.score) result = {item, score, "user " + std::to_string(user)};
  }
  return result;
}

static void recommend(const als_model& model) {
  const std::vector<int> users{0, 1, 2, 3, 4, 5, 6, 7};
  std::vector<recommendation> alone;
  for (const auto engine : {lenskit::engine::in_process, lenskit::engine::threads, lenskit::engine::processes}) {
    lenskit::invoker inv(model, best, {.n_jobs = 2, .engine = engine});
    require(inv.engine() == engine, "the engine is the one asked for");
    std::vector<recommendation> all;
    for (auto& one : inv.map(users)) all.push_back(one);
    require(all.size() == users.size() && all[3].item == 9 && all[3].note == "user 3", "the recommendations");
    const auto outcomes = inv.map_outcomes(std::vector{1, -1, 2}).collect();
    require(outcomes[0].has_value() && outcomes[1].has_error() && outcomes[2].has_value(), "the outcomes");
    std::size_t sum = 0;
    for (auto& done : inv.as_completed(users)) sum += done.index;
    require(sum == 28, "every task completed once");
    inv.shutdown();
  }
  const auto pairs = lenskit::invoker(
                         model, [](const als_model&, int a, int b) { return std::tuple(a, b, a * b); }, 2)
                         .map(users, std::vector{3, 2, 1})
                         .collect();
  require(pairs.size() == 3 && pairs[1] == std::tuple(1, 2, 2), "the zipped ranges");
}

static void fail(const als_model& model) {
  lenskit::invoker inv(model, best, 2);
  try {
    (void)inv.map(std::vector{-1}).collect();
    require(false, "the exception arrives");
  } catch (const std::out_of_range& error) {
    const auto* where = dynamic_cast<const lenskit::task_error*>(&error);
    require(where && where->index() == 0 && where->message() == "no such user", "the exception says where");
  }
  lenskit::invoker dying(
      model, [](const als_model&, int user) { return user == 1 ? std::abort(), 0 : user; }, 2);
  const auto outcomes = dying.map_outcomes(std::vector{0, 1, 2}).collect();
  require(outcomes[0].has_value() && outcomes[2].has_value(), "the others survive");
  try {
    std::rethrow_exception(outcomes[1].error());
  } catch (const lenskit::worker_died& death) {
    require(death.signal().has_value(), "the death says its signal");
  }
}

static void share(const als_model& model) {
  for (const auto method :
       {lenskit::persist_method::shm, lenskit::persist_method::file, lenskit::persist_method::inherit}) {
    auto persisted = lenskit::persist(model, {.method = method});
    require(persisted.method() == method && persisted.is_owner(), "the model is persisted as asked");
    require(persisted.get().items.size() == 40, "the model can be read back");
    require(lenskit::invoker(persisted, best, 2).map(std::vector{2}).collect()[0].item == 9,
            "a persisted model serves");
    persisted.close();
  }
  auto trained = lenskit::run_sp([] { return std::move(lenskit::persist(make_model()).transfer()); });
  require(trained.is_owner() && trained.get().n_items == 10, "the model of a subprocess is taken over");
}

static void the_rest() {
  require(lenskit::effective_cpu_count() >= 1 && lenskit::proc_count({.max_default = 1}) == 1, "the counts");
  require(!lenskit::is_worker() && !lenskit::is_mp_worker() && !lenskit::worker_index(), "this is no worker");
  require(lenskit::run_sp([](int a, int b) { return lenskit::is_worker() ? a + b : 0; }, 40, 2) == 42, "run_sp");
  lenskit::init_rng(42);
  lenskit::seed_sequence seeds = lenskit::derive_seed(1, "users");
  require(std::mt19937_64(seeds)() == std::mt19937_64(seeds)(), "the same seed gives the same numbers");
  std::size_t jobs = 0;
  for (const auto& [begin, end] : lenskit::work_chunks::create(1234)) jobs += end - begin;
  require(jobs == 1234, "the chunks cover all jobs");
  lenskit::parallel_settings settings;
  settings.resolve_defaults();
  require(settings.total_threads() >= 1 && settings.env_vars().contains("OMP_NUM_THREADS"), "the settings");
  auto bar = lenskit::item_progress("items", 3);
  bar->update(3);
  bar->finish();
}

int main() {
  const als_model model = make_model();
  recommend(model);
  fail(model);
  share(model);
  the_rest();
  std::printf("ok %s\n", LENSKIT_PARALLEL_VERSION_STRING);
}
