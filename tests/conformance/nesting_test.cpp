#include <lenskit/invoker.hpp>
#include <lenskit/random.hpp>
#include <lenskit/run_sp.hpp>
#include <lenskit/worker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>

#include <unistd.h>

#include <numeric>
#include <ranges>
#include <set>
#include <stdexcept>
#include <vector>

using lenskit::invoker;
using lenskit::tests::on;

namespace {

int multiply(int model, int x) { return model * x; }

// A sum over inner maps, `depth` deep, with the engine of each level.
long nested_sum(int depth, lenskit::engine engine, int x) {
  if (depth == 0) return x;
  invoker inner(
      depth, [engine](int level, int y) { return nested_sum(level - 1, engine, y); }, on(engine, 2));
  const auto parts = inner.map(std::views::iota(x, x + 3)).collect();
  return std::accumulate(parts.begin(), parts.end(), 0L);
}

}  // namespace

TEST_CASE("inside a worker an invoker runs in process by default") {
  ON_EVERY_ENGINE(engine);
  invoker outer(
      0,
      [](int, int x) {
        invoker inner(10, multiply);
        const bool here = inner.engine() == lenskit::engine::in_process && inner.n_jobs() == 1;
        const auto results = inner.map(std::vector{x, x + 1}).collect();
        // Without a worker around it, in_process, the default is that of the program.
        return std::tuple(here || !lenskit::is_worker(), results.at(0), results.at(1));
      },
      on(engine));
  int x = 0;
  for (const auto& result : outer.map(std::views::iota(0, 6))) {
    CHECK(result == std::tuple(true, 10 * x, 10 * x + 10));
    ++x;
  }
}

TEST_CASE("invoker nest three deep, with workers at each level, where they are asked for") {
  ON_EVERY_ENGINE(engine);
  const auto expected = nested_sum(3, lenskit::engine::in_process, 5);
  CHECK(nested_sum(3, engine, 5) == expected);
}

#ifndef __SANITIZE_THREAD__
TEST_CASE("explicit workers inside a worker are processes of their own", "[no_tsan]") {
  invoker outer(
      0,
      [](int, int) {
        invoker inner(0, [](int, int) { return getpid(); }, {.n_jobs = 2});
        const auto pids = inner.map(std::vector<int>(20)).collect();
        std::set<int> different(pids.begin(), pids.end());
        different.insert(getpid());
        return std::pair(inner.engine() == lenskit::engine::processes, different.size());
      },
      on(lenskit::engine::processes));
  for (const auto& [processes, different] : outer.map(std::vector<int>(4))) {
    CHECK(processes);
    CHECK(different >= 2);
    CHECK(different <= 3);
  }
}

TEST_CASE("a crash in a nested worker is an exception in the task around it", "[no_tsan]") {
  invoker outer(
      0,
      [](int, int x) {
        invoker inner(
            0,
            [](int, int y) {
              if (y == 2) _exit(3);
              return y;
            },
            on(lenskit::engine::processes));
        int sum = 0;
        for (const auto& each : inner.map_outcomes(std::views::iota(0, 4))) sum += each ? *each : 100;
        return sum + x;
      },
      on(lenskit::engine::processes));
  CHECK(outer.map(std::vector{0, 1000}).collect() == std::vector{104, 1104});
}

TEST_CASE("a subprocess may have workers and a worker a subprocess", "[no_tsan]") {
  CHECK(lenskit::run_sp([] {
          return invoker(3, multiply, 2).map(std::vector{1, 2, 3}).collect();
        }) == std::vector{3, 6, 9});
  invoker inv(
      3, [](int m, int x) { return lenskit::run_sp(multiply, m, x); }, on(lenskit::engine::processes));
  CHECK(inv.map(std::vector{1, 2, 3}).collect() == std::vector{3, 6, 9});
}
#endif

TEST_CASE("an inner call leaves the seed and the role of the task around it alone") {
  ON_EVERY_ENGINE(engine);
  const auto inner_engine = GENERATE(lenskit::engine::in_process, lenskit::engine::threads);
  invoker outer(
      0,
      [inner_engine](int, int) {
        const auto before = lenskit::task_seed();
        const auto index = lenskit::worker_index();
        invoker inner(
            0, [](int, int) { return lenskit::task_seed().spawn_key(); }, on(inner_engine, 2));
        const auto keys = inner.map(std::vector<int>(3)).collect();
        const bool distinct = keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != before.spawn_key();
        return before == lenskit::task_seed() && index == lenskit::worker_index() && distinct;
      },
      on(engine));
  for (const bool kept : outer.map(std::vector<int>(6))) CHECK(kept);
}
