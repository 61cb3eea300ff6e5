// T9: 64 workers instead of 2, whatever the number of cores.
#include <support/contest.hpp>
#include <support/work.hpp>

#include <lenskit/parallel.hpp>

#include <cmath>
#include <string>
#include <vector>

namespace {

struct no_model {};
constexpr auto task = [](const no_model&, std::uint64_t steps) { return bench::work(steps); };
constexpr int many_workers = 64;

void compare(const std::string& what, double task_seconds) {
  const double in_all = bench::sized(1.0, 0.5);  // seconds of work
  const std::vector<std::uint64_t> tasks(static_cast<std::size_t>(std::lround(in_all / task_seconds)),
                                         bench::steps_for(task_seconds));
  lenskit::invoker few(no_model{}, task, bench::workers);
  lenskit::invoker many(no_model{}, task, many_workers);
  const auto rate_of = [&tasks](auto& pool) {
    return static_cast<double>(tasks.size()) / bench::seconds_of([&] {
             for (const auto x : pool.map(tasks)) bench::keep(x);
           });
  };
  bench::contest contest("T9", what, "tasks/s");
  contest.add("2 workers", [&] { return rate_of(few); });
  contest.add("64 workers", [&] { return rate_of(many); });
  contest.run();
}

}  // namespace

int main(int argc, char** argv) {
  bench::initialize(argc, argv);
  constexpr double us = 1e-6;
  compare("tasks of 10 µs", 10 * us);
  compare("tasks of 100 µs", 100 * us);
}
