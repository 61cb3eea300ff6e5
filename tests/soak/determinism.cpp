// G13: the same root seed gives the same bits, with 1 to 8 workers, on every engine, with kills and retries.
#include "disposable.hpp"
#include "trial.hpp"

#include <lenskit/invoker.hpp>
#include <lenskit/random.hpp>

#include <fmt/format.h>
#include <signal.h>

#include <bit>
#include <chrono>
#include <cstdio>
#include <random>
#include <ranges>
#include <set>
#include <string>

namespace lenskit::soak {
namespace {

using namespace std::chrono_literals;

constexpr int most_workers = 8;
constexpr int tasks = 500;

// What a task draws from its seed and from the children of its seed.
double draw(int task) {
  auto seed = lenskit::task_seed();
  std::mt19937_64 lot(seed);
  return std::normal_distribution<double>(task, 1)(lot);
}

// Everything two map calls return, mixed; `dying`: each run of a task dies with that probability, by a lot that no seed
// of the library has anything to do with.
void mix_results(notes& seen, std::uint64_t root, invoker_options options, double dying) {
  lenskit::init_rng(root);
  if (dying > 0) options.max_retries = 50;
  lenskit::invoker inv(
      0,
      [dying](int, int task) {
        const double drawn = draw(task);
        std::random_device device;
        if (dying > 0 && std::bernoulli_distribution(dying)(device)) ::raise(SIGKILL);
        return drawn;
      },
      options);
  std::uint64_t mixed = 0;
  for (int call = 0; call < 2; ++call) {
    for (const double each : inv.map(std::views::iota(0, tasks))) {
      constexpr std::uint64_t factor = 0x9e37'79b9'7f4a'7c15;
      mixed = (mixed ^ std::bit_cast<std::uint64_t>(each)) * factor;
    }
  }
  seen.counters[0] = static_cast<std::int64_t>(mixed);
}

}  // namespace

std::vector<score> determinism(const settings& how) {
  long same = 0;
  long rounds = 0;
  std::set<std::int64_t> values;
  long runs_in_all = 0;
  bool clean = true;
  constexpr auto watchdog = 60s;
  disposable_processes runs(how.at_once, watchdog, [&](const ending& end) {
    ++runs_in_all;
    clean &= end.complaints.empty();
    for (const auto& line : end.complaints) std::printf("%s: %s\n", end.label.c_str(), line.c_str());
    values.insert(end.counters[0]);
  });
  for (long round = 0; round < how.runs; ++round) {
    const std::uint64_t root = how.seed + static_cast<std::uint64_t>(round);
    const auto start = [&](const char* what, invoker_options options, double dying) {
      runs.start(fmt::format("{}, {} workers, root seed {}", what, *options.n_jobs, root),
                 [=](notes& seen) { mix_results(seen, root, options, dying); });
    };
    values.clear();
    start("in process", {.n_jobs = 1, .engine = engine::in_process}, 0);
    for (int workers = 1; workers <= most_workers; ++workers) {
      start("threads", {.n_jobs = workers, .engine = engine::threads}, 0);
      start("processes", {.n_jobs = workers, .engine = engine::processes}, 0);
      constexpr double some_die = 0.02;
      start("processes that die", {.n_jobs = workers, .engine = engine::processes}, some_die);
    }
    runs.finish();
    ++rounds;
    if (values.size() == 1)
      ++same;
    else
      std::printf("root seed %llu: %zu different results\n", static_cast<unsigned long long>(root), values.size());
  }
  return {
      {"G13", clean && same == rounds,
       fmt::format("{} of {} root seeds gave the same bits in all their runs ({} runs: three engines, 1 to {} workers, "
                   "with and without kills and retries)",
                   same, rounds, runs_in_all, most_workers)}};
}

}  // namespace lenskit::soak
