// T2: speed-up over a plain loop by length of the tasks, and for few and for uneven tasks. Bare pipes are the limit of
// a pool whose workers are processes of their own, beside a parent that hands out tasks and takes their results.
#include <support/contest.hpp>
#include <support/pipe_farm.hpp>
#include <support/work.hpp>

#include <lenskit/parallel.hpp>

#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/parallel_pipeline.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <future>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using steps = std::uint64_t;
using results = std::vector<std::uint64_t>;

struct no_model {};
constexpr auto task = [](const no_model&, steps each) { return bench::work(each); };

results plain_loop(const std::vector<steps>& tasks) {
  results all(tasks.size());
  std::transform(tasks.begin(), tasks.end(), all.begin(), bench::work);
  return all;
}

results openmp_dynamic(const std::vector<steps>& tasks) {
  results all(tasks.size());
#pragma omp parallel for schedule(dynamic, 1) num_threads(bench::workers)
  for (std::size_t i = 0; i < tasks.size(); ++i) all[i] = bench::work(tasks[i]);
  return all;
}

results tbb_for(const std::vector<steps>& tasks) {
  results all(tasks.size());
  oneapi::tbb::task_arena(bench::workers).execute([&] {
    oneapi::tbb::parallel_for(std::size_t{0}, tasks.size(), [&](std::size_t i) { all[i] = bench::work(tasks[i]); });
  });
  return all;
}

results tbb_pipeline(const std::vector<steps>& tasks) {
  using oneapi::tbb::filter_mode, oneapi::tbb::make_filter;
  results all;
  auto next = tasks.begin();
  constexpr std::size_t tokens = 64;
  const auto pull = [&](oneapi::tbb::flow_control& control) {
    if (next == tasks.end()) control.stop();
    return next == tasks.end() ? 0 : *next++;
  };
  oneapi::tbb::task_arena(bench::workers).execute([&] {
    oneapi::tbb::parallel_pipeline(
        tokens,
        make_filter<void, steps>(filter_mode::serial_in_order, pull) &
            make_filter<steps, std::uint64_t>(filter_mode::parallel, &bench::work) &
            make_filter<std::uint64_t, void>(filter_mode::serial_in_order, [&](std::uint64_t x) { all.push_back(x); }));
  });
  return all;
}

// A task each, at most so many at a time: one thread each for all of them would not be a fair comparison.
results async_tasks(const std::vector<steps>& tasks) {
  results all(tasks.size());
  std::vector<std::future<std::uint64_t>> running(bench::workers);
  for (std::size_t i = 0; i < tasks.size() + running.size(); ++i) {
    auto& slot = running[i % running.size()];
    if (slot.valid()) all[i - running.size()] = slot.get();
    if (i < tasks.size()) slot = std::async(std::launch::async, bench::work, tasks[i]);
  }
  return all;
}

using bare_pool = bench::pipe_farm<steps, std::uint64_t>;
constexpr std::size_t longest_bare_chunk = 300;

class course {
 public:
  // The bare pool gets chunks of `bare_chunk` tasks.
  course(std::string what, std::vector<steps> tasks, std::size_t bare_chunk = 1)
      : what_(std::move(what)), tasks_(std::move(tasks)), bare_chunk_(bare_chunk), expected_(plain_loop(tasks_)) {}

  template <class Pool>
  void run(Pool& pool, bare_pool& bare) const {
    bench::contest contest("T2", what_, "s");
    enter(contest, "plain loop", plain_loop);
    enter(contest, "OpenMP dynamic(1)", openmp_dynamic);
    enter(contest, "tbb pipeline", tbb_pipeline);
    enter(contest, "tbb parallel_for", tbb_for);
    constexpr std::size_t bearable = 50'000;  // a thread each
    if (tasks_.size() < bearable) enter(contest, "std::async", async_tasks);
    enter(contest, "bare pipes", [&bare, chunk = bare_chunk_](const auto& tasks) {
      results all;
      bare.map(
          tasks.size(), chunk, [&](std::size_t i) { return tasks[i]; }, [&](std::uint64_t x) { all.push_back(x); });
      return all;
    });
    enter(contest, "lenskit", [&pool](const auto& tasks) { return pool.map(tasks).collect(); });
    contest.run();
  }

 private:
  void enter(bench::contest& contest, const char* name,
             std::function<results(const std::vector<steps>&)> run_all) const {
    contest.add(name, [this, run_all = std::move(run_all)] {
      results got;
      const auto taken = bench::seconds_of([&] { got = run_all(tasks_); });
      if (got != expected_) throw std::runtime_error("a result is wrong");
      return taken;
    });
  }

  std::string what_;
  std::vector<steps> tasks_;
  std::size_t bare_chunk_;
  results expected_;
};

std::vector<steps> even_tasks(double seconds, double in_all) {
  const auto count = static_cast<std::size_t>(std::lround(in_all / seconds));
  return std::vector<steps>(count, bench::steps_for(seconds));
}

// Lengths of which the longest is thirty times the mean.
std::vector<steps> uneven_tasks(double mean_seconds, double in_all) {
  constexpr double longest = 30;
  auto tasks = even_tasks(mean_seconds, in_all);
  std::mt19937 random(1);
  std::exponential_distribution<double> length(1.0);
  for (auto& each : tasks) each = static_cast<steps>(static_cast<double>(each) * std::min(length(random), longest));
  tasks[tasks.size() / 2] = bench::steps_for(mean_seconds * longest);
  return tasks;
}

}  // namespace

int main(int argc, char** argv) {
  bench::initialize(argc, argv);
  bare_pool bare(bench::workers, longest_bare_chunk, bench::work);
  lenskit::invoker pool(no_model{}, task, bench::workers);
  const double in_all = bench::sized(0.3, 0.2);  // seconds of work
  constexpr double us = 1e-6;
  constexpr double ms = 1e-3;
  course("tasks of 1 µs", even_tasks(1 * us, in_all), longest_bare_chunk).run(pool, bare);
  course("tasks of 10 µs", even_tasks(10 * us, in_all), 30).run(pool, bare);
  course("tasks of 100 µs", even_tasks(100 * us, in_all), 3).run(pool, bare);
  course("tasks of 1 ms", even_tasks(1 * ms, in_all)).run(pool, bare);
  course("20 tasks of 1 ms", even_tasks(1 * ms, 20 * ms)).run(pool, bare);
  course("uneven tasks", uneven_tasks(100 * us, in_all)).run(pool, bare);
}
