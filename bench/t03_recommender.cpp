// T3: the top 100 of 60,000 items for 5,000 users. LensKit's invoker is measured by lenskit_peer.py.
#include <support/child.hpp>
#include <support/contest.hpp>
#include <support/recommender.hpp>

#include <lenskit/parallel.hpp>

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <vector>

namespace {

using lists = std::vector<std::vector<std::uint32_t>>;

lists plain_loop(const bench::recommender& model) {
  lists all(model.n_users());
  for (std::size_t user = 0; user < all.size(); ++user) all[user] = model.recommend(user);
  return all;
}

lists openmp_dynamic(const bench::recommender& model) {
  lists all(model.n_users());
#pragma omp parallel for schedule(dynamic, 1) num_threads(bench::workers)
  for (std::size_t user = 0; user < all.size(); ++user) all[user] = model.recommend(user);
  return all;
}

// Each keeps what it has computed: there is nothing faster that processes could do.
void independent_processes(const bench::recommender& model) {
  std::vector<bench::child> running;
  for (std::size_t first = 0; first < bench::workers; ++first) {
    running.emplace_back([&model, first] {
      for (auto user = first; user < model.n_users(); user += bench::workers)
        bench::keep(model.recommend(user).front());
    });
  }
  for (auto& each : running) {
    if (!each.succeeded()) throw std::runtime_error("a process failed");
  }
}

}  // namespace

int main(int argc, char** argv) {
  bench::initialize(argc, argv);
  const bench::recommender model(bench::sized<std::size_t>(5'000, 1'000));
  std::vector<std::size_t> users(model.n_users());
  std::iota(users.begin(), users.end(), std::size_t{0});
  const auto expected = plain_loop(model);

  const auto recommend = [](const bench::recommender& with, std::size_t user) { return with.recommend(user); };
  lenskit::invoker pool(model, recommend,
                        {.n_jobs = bench::workers, .persist_method = lenskit::persist_method::inherit});
  const auto rate_of = [&](const std::function<lists()>& run_all) {
    lists got;
    const auto taken = bench::seconds_of([&] { got = run_all(); });
    if (got != expected) throw std::runtime_error("a recommendation is wrong");
    return static_cast<double>(model.n_users()) / taken;
  };
  bench::contest contest("T3", "users", "users/s");
  contest.add("plain loop", [&] { return rate_of([&] { return plain_loop(model); }); });
  contest.add("OpenMP dynamic(1)", [&] { return rate_of([&] { return openmp_dynamic(model); }); });
  contest.add("independent processes", [&] {
    return static_cast<double>(model.n_users()) / bench::seconds_of([&] { independent_processes(model); });
  });
  contest.add("lenskit", [&] { return rate_of([&] { return pool.map(users).collect(); }); });
  constexpr int rounds = 5;  // they differ by a twentieth from one to the next
  contest.run(rounds);
}
