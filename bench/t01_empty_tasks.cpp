// T1: what a task costs that does nothing, int -> int. Python's pools and LensKit are measured by python_peers.py and
// lenskit_peer.py.
#include <support/contest.hpp>
#include <support/mpi.hpp>
#include <support/pipe_farm.hpp>

#include <lenskit/parallel.hpp>

#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/parallel_pipeline.h>
#include <oneapi/tbb/task_arena.h>

#include <cstdint>
#include <ranges>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

struct no_model {};
constexpr auto same = [](int x) { return x; };
constexpr auto same_with_model = [](const no_model&, int x) { return x; };

void check(std::int64_t sum, int count) {
  if (sum != std::int64_t{count} * (count - 1) / 2) throw std::runtime_error("a result is wrong");
}

double rate(int count, auto&& sum_of_results) {
  std::int64_t sum = 0;
  const auto taken = bench::seconds_of([&] { sum = sum_of_results(); });
  check(sum, count);
  return count / taken;
}

double lenskit_rate(auto& pool, int count) {
  return rate(count, [&] {
    std::int64_t sum = 0;
    for (const int x : pool.map(std::views::iota(0, count))) sum += x;
    return sum;
  });
}

double pipe_rate(bench::pipe_farm<int, int>& farm, int count, std::size_t chunk) {
  return rate(count, [&] {
    std::int64_t sum = 0;
    farm.map(
        static_cast<std::size_t>(count), chunk, [](std::size_t i) { return static_cast<int>(i); },
        [&](int x) { sum += x; });
    return sum;
  });
}

double tbb_pipeline_rate(oneapi::tbb::task_arena& arena, int count) {
  return rate(count, [&] {
    std::int64_t sum = 0;
    int next = 0;
    using oneapi::tbb::filter_mode, oneapi::tbb::make_filter;
    constexpr std::size_t tokens = 64;
    const auto pull = [&](oneapi::tbb::flow_control& control) {
      if (next == count) control.stop();
      return next < count ? next++ : 0;
    };
    arena.execute([&] {
      oneapi::tbb::parallel_pipeline(
          tokens, make_filter<void, int>(filter_mode::serial_in_order, pull) &
                      make_filter<int, int>(filter_mode::parallel, same) &
                      make_filter<int, void>(filter_mode::serial_in_order, [&](int x) { sum += x; }));
    });
    return sum;
  });
}

double tbb_for_rate(oneapi::tbb::task_arena& arena, int count) {
  return rate(count, [&] {
    std::vector<int> results(static_cast<std::size_t>(count));
    arena.execute(
        [&] { oneapi::tbb::parallel_for(0, count, [&](int i) { results[static_cast<std::size_t>(i)] = same(i); }); });
    std::int64_t sum = 0;
    for (const int x : results) sum += x;
    return sum;
  });
}

void compare(int count, std::size_t chunk, bench::pipe_farm<int, int>& farm) {
  lenskit::invoker pool(no_model{}, same_with_model, {.n_jobs = bench::workers, .chunk_size = chunk});
  bench::contest contest("T1", "chunks of " + std::to_string(chunk), "tasks/s");
  contest.add("lenskit", [&] { return lenskit_rate(pool, count); });
  contest.add("bare pipes", [&] { return pipe_rate(farm, count, chunk); });
  contest.run();
}

}  // namespace

int main(int argc, char** argv) {
  bench::initialize(argc, argv);
  constexpr std::size_t longest = 32'768;
  bench::pipe_farm<int, int> farm(bench::workers, longest, same);
  lenskit::invoker pool(no_model{}, same_with_model, bench::workers);
  const int many = bench::sized(20'000'000, 10'000'000);
  const int few = many / 40;
  oneapi::tbb::task_arena arena(bench::workers);

  bench::contest as_they_are("T1", "chosen chunks", "tasks/s");
  as_they_are.add("lenskit", [&] { return lenskit_rate(pool, many); });
  for (const std::size_t chunk : {512U, 4'096U, 16'384U, 32'768U}) {
    as_they_are.add("bare pipes of " + std::to_string(chunk), [&, chunk] { return pipe_rate(farm, many, chunk); });
  }
  as_they_are.add("tbb pipeline", [&] { return tbb_pipeline_rate(arena, few); });
  as_they_are.add("tbb parallel_for", [&] { return tbb_for_rate(arena, many); });
  for (const auto& [chunk, count] : {std::pair{1, many / 80}, {64, many / 4}, {512, many}}) {
    bench::add_boost_mpi(as_they_are, "empty tasks", chunk, count);
  }
  as_they_are.run();

  compare(few / 8, 1, farm);
  compare(few, 64, farm);
  compare(many, 512, farm);
  compare(many, 4'096, farm);
  compare(many, longest, farm);
}
