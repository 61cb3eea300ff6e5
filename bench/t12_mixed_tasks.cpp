// T12: tasks of mixed lengths against a greedy shared queue, which hands the next task to whoever is free. Its time
// follows from the lengths alone. A shared counter and threads or processes that draw from it are the limit: what the
// machine adds.
#include <support/child.hpp>
#include <support/contest.hpp>
#include <support/shared.hpp>
#include <support/timed_task.hpp>
#include <support/work.hpp>

#include <lenskit/parallel.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

struct no_model {};
enum class kind { sleeping, busy };

// A task is its length in seconds; a busy one its steps, too, which are counted before there are workers.
struct job {
  double seconds = 0;
  std::uint64_t steps = 0;  // 0: it sleeps
};

constexpr auto task = [](const no_model&, const job& each) {
  if (each.steps != 0) {
    bench::keep(bench::work(each.steps));
  } else {
    bench::sleep_exactly(each.seconds);
  }
  return each.seconds;
};

double seconds_by_counter(const std::vector<job>& jobs, int workers) {
  return bench::seconds_of([&] {
    std::atomic<std::size_t> next = 0;
    std::vector<std::jthread> threads;
    for (int worker = 0; worker < workers; ++worker) {
      threads.emplace_back([&] {
        for (auto i = next++; i < jobs.size(); i = next++) bench::keep(task(no_model{}, jobs[i]));
      });
    }
  });
}

// The same by forked processes, which a loaded machine treats otherwise than threads.
double seconds_by_counter_of_processes(const std::vector<job>& jobs, int workers) {
  const bench::shared<std::atomic<std::size_t>> next;
  return bench::seconds_of([&] {
    std::vector<bench::child> processes;
    for (int worker = 0; worker < workers; ++worker) {
      processes.emplace_back([&] {
        for (auto i = (*next)++; i < jobs.size(); i = (*next)++) bench::keep(task(no_model{}, jobs[i]));
      });
    }
    for (auto& each : processes) {
      if (!each.succeeded()) throw std::runtime_error("a process failed");
    }
  });
}

template <class Pool>
double seconds_by_map(Pool& pool, const std::vector<job>& jobs) {
  std::size_t next = 0;
  const auto taken = bench::seconds_of([&] {
    for (const auto x : pool.map(jobs)) {
      if (x != jobs[next++].seconds) throw std::runtime_error("a result is wrong");
    }
  });
  if (next != jobs.size()) throw std::runtime_error("results are missing");
  return taken;
}

template <class Pool>
double seconds_as_completed(Pool& pool, const std::vector<job>& jobs) {
  std::size_t count = 0;
  const auto taken = bench::seconds_of([&] {
    for (const auto& each : pool.as_completed(jobs)) {
      if (each.result.value() != jobs[each.index].seconds) throw std::runtime_error("a result is wrong");
      ++count;
    }
  });
  if (count != jobs.size()) throw std::runtime_error("results are missing");
  return taken;
}

void compare(const std::string& what, const std::vector<double>& lengths, int workers, kind of = kind::sleeping) {
  std::vector<job> jobs;
  for (const auto each : lengths) jobs.push_back({each, of == kind::busy ? bench::steps_for(each) : 0});
  bench::contest contest("T12", what, "s");
  contest.add("greedy queue", [&] { return bench::greedy_makespan(lengths, workers); });
  contest.add("shared counter", [&] { return seconds_by_counter(jobs, workers); });
  contest.add("shared counter, processes", [&] { return seconds_by_counter_of_processes(jobs, workers); });
  using pool = lenskit::invoker<no_model, std::remove_const_t<decltype(task)>>;
  std::vector<std::unique_ptr<pool>> pools;
  for (const auto& [engine, engine_name] :
       {std::pair(lenskit::engine::processes, "processes"), std::pair(lenskit::engine::threads, "threads")}) {
    for (const std::size_t chunk : {0U, 1U}) {
      pools.push_back(std::make_unique<pool>(
          no_model{}, task, lenskit::invoker_options{.n_jobs = workers, .engine = engine, .chunk_size = chunk}));
      const auto name = std::string(engine_name) + (chunk == 1 ? ", chunks of 1" : "");
      auto& with = *pools.back();
      contest.add(name + ", map", [&] { return seconds_by_map(with, jobs); });
      contest.add(name + ", as_completed", [&] { return seconds_as_completed(with, jobs); });
    }
  }
  contest.run(bench::sized(3, 1));
}

constexpr double ms = 1e-3;

// Two long ones that are dealt out at once, or nearly, and eight that take no time.
std::vector<double> two_long_of_ten(double length) {
  std::vector<double> lengths(10, 0);
  lengths[0] = lengths[2] = length;
  return lengths;
}

std::vector<double> some_long_of_200(double length) {
  constexpr std::size_t every = 33;
  std::vector<double> lengths(200, 5 * ms);
  for (auto i = every / 2; i < lengths.size(); i += every) lengths[i] = length;
  return lengths;
}

// Most are as short as can be, and a few make up half of all time.
std::vector<double> pareto_lengths(std::size_t count) {
  constexpr double shape = 1.2;
  constexpr double shortest = 1 * ms;
  constexpr double longest = 300 * ms;
  std::mt19937_64 random(12);
  std::vector<double> lengths(count);
  for (auto& each : lengths) {
    const auto u = (static_cast<double>(random() >> 11) + 1) * 0x1p-53;  // in (0, 1]
    each = std::min(shortest * std::pow(u, -1 / shape), longest);
  }
  return lengths;
}

}  // namespace

int main(int argc, char** argv) {
  bench::initialize(argc, argv);
  compare("10 tasks, two long", two_long_of_ten(bench::sized(3000 * ms, 300 * ms)), 2);
  compare("200 tasks, some long", some_long_of_200(bench::sized(400 * ms, 150 * ms)), 4);
  const auto pareto = pareto_lengths(bench::sized<std::size_t>(400, 150));
  compare("Pareto lengths, 2 workers", pareto, 2);
  compare("Pareto lengths, 4 workers", pareto, 4);
  compare("Pareto lengths, 2 workers, busy", pareto, 2, kind::busy);
}
