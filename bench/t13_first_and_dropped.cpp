// T13: results that a long task of the same chunk could keep back, and a range that is dropped while tasks wait. What
// is measured here is lateness, in seconds: after the end of the task, and after the tasks that run at the drop.
#include <support/contest.hpp>
#include <support/shared.hpp>
#include <support/timed_task.hpp>

#include <lenskit/parallel.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <limits>
#include <ranges>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr double ms = 1e-3;
constexpr std::size_t empty_tasks = 60'000;
constexpr std::array engines{std::pair(lenskit::engine::processes, "processes"),
                             std::pair(lenskit::engine::threads, "threads")};

// ---- a result beside a long task -----------------------------------------------------------------------------------

// Returns when it ended.
constexpr auto end_of_task = [](int, double seconds) {
  if (seconds > 0) bench::sleep_exactly(seconds);
  return bench::clock_seconds();
};
using end_pool = lenskit::invoker<int, std::remove_const_t<decltype(end_of_task)>>;

struct lateness {
  double fastest = -1;  // how late the fastest task's result was
  int before = 0;       // how many others were delivered before it
};

// Of the first task that is not empty.
lateness lateness_of_fastest(end_pool& pool, const std::vector<double>& lengths, std::size_t fastest) {
  lateness seen;
  for (const auto& each : pool.as_completed(lengths)) {
    const auto late = bench::clock_seconds() - each.result.value();
    if (each.index == fastest) seen.fastest = late;
    if (seen.fastest < 0 && lengths[each.index] > 0) ++seen.before;
  }
  if (seen.fastest < 0) throw std::runtime_error("a result is missing");
  return seen;
}

// Behind some empty tasks a short one and a long one, and behind these some more.
std::vector<double> one_beside_a_long(std::size_t empty, bool in_front) {
  std::vector<double> lengths(empty, 0);
  lengths.insert(lengths.end(), {5 * ms, 500 * ms, 50 * ms, 50 * ms, 50 * ms, 50 * ms, 50 * ms, 50 * ms});
  if (!in_front) std::swap(lengths[empty], lengths[empty + 1]);
  return lengths;
}

void compare_first_results(const std::string& what, std::size_t chunk, std::size_t empty, bool in_front) {
  const auto lengths = one_beside_a_long(empty, in_front);
  const auto measure = [&](lenskit::engine engine) {
    end_pool pool(0, end_of_task, {.n_jobs = bench::workers, .engine = engine, .chunk_size = chunk});
    return lateness_of_fastest(pool, lengths, empty + (in_front ? 0 : 1));
  };
  bench::contest late("T13", what + ", late", "s");
  bench::contest order("T13", what + ", before it", "results");
  for (const auto& [engine, name] : engines) {
    late.add(name, [&, engine = engine] { return measure(engine).fastest; });
    order.add(name, [&, engine = engine] { return measure(engine).before; });
  }
  late.run(bench::sized(5, 2));
  order.run(bench::sized(5, 2));
}

// ---- a range that is dropped ---------------------------------------------------------------------------------------

constexpr double each_lasts = 20 * ms;

struct what_runs {
  std::atomic<int> started = 0;
  std::array<std::atomic<double>, bench::workers> ends{};  // of the task that each worker runs, if it is no empty one
};

struct after_the_drop {
  double late = 0;  // how much later than it could be the next map was over
  int started = 0;  // tasks of the dropped range
};

after_the_drop drop_a_range(lenskit::engine engine) {
  constexpr int tasks = 200'000;
  bench::shared<what_runs> seen;
  const auto run = [&seen](int, int x) {
    if (x < static_cast<int>(empty_tasks)) return x;
    ++seen->started;
    seen->ends[static_cast<std::size_t>(*lenskit::worker_index())] = bench::clock_seconds() + each_lasts;
    bench::sleep_exactly(each_lasts);
    return x;
  };
  lenskit::invoker pool(0, run, {.n_jobs = bench::workers, .engine = engine});
  after_the_drop after;
  double free_at = 0;
  {
    auto range = pool.map(std::views::iota(0, tasks));
    for (const int x : range) {
      if (x == static_cast<int>(empty_tasks) - 1) break;
    }
    bench::sleep_exactly(100 * ms);  // all workers are in tasks that are not empty
    after.started = -seen->started;
  }
  const auto dropped = bench::clock_seconds();
  free_at = std::numeric_limits<double>::max();
  for (const auto& end : seen->ends) free_at = std::min(free_at, end.load());
  if (pool.map(std::array{1}).collect() != std::vector{1}) throw std::runtime_error("a result is wrong");
  after.late = bench::clock_seconds() - std::max(dropped, free_at);
  bench::sleep_exactly(2 * each_lasts);
  after.started += seen->started;
  return after;
}

void compare_drops() {
  bench::contest late("T13", "a dropped range, next map late", "s");
  bench::contest started("T13", "a dropped range, started after it", "tasks");
  for (const auto& [engine, name] : engines) {
    late.add(name, [engine = engine] { return drop_a_range(engine).late; });
    started.add(name, [engine = engine] { return drop_a_range(engine).started; });
  }
  late.run(bench::sized(5, 2));
  started.run(bench::sized(5, 2));
}

}  // namespace

int main(int argc, char** argv) {
  bench::initialize(argc, argv);
  compare_first_results("chunks of 8", 8, 0, true);
  compare_first_results("chunks of 8, behind a long one", 8, 0, false);
  compare_first_results("chosen chunks", 0, empty_tasks, true);
  compare_drops();
}
