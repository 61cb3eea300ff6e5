// T11: how time and memory grow with the number of tasks, their length, their results, the model and the workers.
#include <support/child.hpp>
#include <support/contest.hpp>
#include <support/memory.hpp>
#include <support/work.hpp>

#include <lenskit/parallel.hpp>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <memory>
#include <numeric>
#include <ranges>
#include <string>
#include <vector>

namespace {

struct no_model {};

struct factors {
  lenskit::shared_array<float> items;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& items;
  }
};

// One point of a curve, in a process of its own. `time` and `memory` are measured apart: looking at memory takes time.
void measure(const std::string& axis, double x, const std::string& time_unit, auto&& time, auto&& memory) {
  bench::run_apart([&] {
    bench::contest("T11", axis + ", time", time_unit, x).add("lenskit", time).run(3);
    bench::contest("T11", axis + ", memory", "bytes", x).add("lenskit", memory).run(1);
  });
}

// The memory of all processes when half of the results have been taken.
double memory_half_way(auto&& results, std::size_t count) {
  std::size_t taken = 0;
  double bytes = 0;
  for (const auto& each : results) {
    bench::keep(each);
    if (++taken == (count + 1) / 2) bytes = bench::pss_of_tree();
  }
  return bytes;
}

double seconds_to_take(auto&& results) {
  return bench::seconds_of([&] {
    for (const auto& each : results) bench::keep(each);
  });
}

void by_number_of_tasks() {
  const int most = bench::sized(10'000'000, 1'000'000);
  for (int count = 1'000; count <= most; count *= 10) {
    const auto map_all = [count] {
      static lenskit::invoker pool(
          no_model{}, [](const no_model&, int x) { return x; }, bench::workers);
      return pool.map(std::views::iota(0, count));
    };
    measure(
        "tasks", count, "s", [&] { return seconds_to_take(map_all()); },
        [&] { return memory_half_way(map_all(), static_cast<std::size_t>(count)); });
  }
}

void by_length_of_tasks() {
  constexpr double us = 1e-6;
  const double in_all = bench::sized(0.3, 0.1);
  for (const double seconds : {0.0, 1 * us, 10 * us, 100 * us, 1'000 * us, 10'000 * us}) {
    const auto count = static_cast<std::size_t>(in_all / std::max(seconds, us));
    const auto map_all = [count, steps = bench::steps_for(seconds)] {
      static lenskit::invoker pool(
          no_model{}, [](const no_model&, std::uint64_t n) { return bench::work(n); }, bench::workers);
      return pool.map(std::vector<std::uint64_t>(count, steps));
    };
    measure(
        "task length, s", seconds, "s a task and worker",
        [&] { return seconds_to_take(map_all()) * bench::workers / static_cast<double>(count); },
        [&] { return memory_half_way(map_all(), count); });
  }
}

void by_payload() {
  constexpr std::size_t largest = std::size_t{64} << 20;
  for (std::size_t bytes = 8; bytes != 0; bytes = bytes == largest ? 0 : std::min(bytes * 8, largest)) {
    constexpr std::size_t least = 16;
    constexpr std::size_t most = 20'000;
    const auto in_all = bench::sized<std::size_t>(1, 0) * largest * 8 + largest * 2;
    const auto count = std::clamp(in_all / bytes, least, most);
    const auto map_all = [count](const std::size_t& size) {
      static lenskit::invoker pool(
          no_model{}, [](const no_model&, std::size_t n) { return std::vector<char>(n); }, bench::workers);
      return pool.map(std::vector<std::size_t>(count, size));
    };
    measure(
        "payload, bytes", static_cast<double>(bytes), "s a task",
        [&] { return seconds_to_take(map_all(bytes)) / static_cast<double>(count); },
        [&] { return memory_half_way(map_all(bytes), count); });
  }
}

double available_bytes() {
  std::ifstream in("/proc/meminfo");
  constexpr double kibibyte = 1024;
  for (std::string word; in >> word;) {
    double kilobytes = 0;
    if (word == "MemAvailable:" && in >> kilobytes) return kilobytes * kibibyte;
  }
  return 0;
}

constexpr auto first_item = [](const auto& model, std::size_t i) { return model.items[i]; };
using factors_pool = lenskit::invoker<factors, decltype(first_item)>;

// `measured` is called with a new pool that has given its first result, and the time that took.
double with_new_pool(const factors& model, int n_workers, auto&& measured) {
  std::unique_ptr<factors_pool> pool;
  const std::vector<std::size_t> first(static_cast<std::size_t>(n_workers), 0);
  const auto taken = bench::seconds_of([&] {
    // One worker would be no process otherwise.
    pool = std::make_unique<factors_pool>(
        model, first_item, lenskit::invoker_options{.n_jobs = n_workers, .engine = lenskit::engine::processes});
    for (const auto x : pool->map(first)) bench::keep(x);
  });
  return measured(taken);
}

void measure_pool(const std::string& axis, double x, std::size_t model_bytes, int n_workers) {
  std::unique_ptr<factors> model;
  const auto made = [&]() -> const factors& {
    if (!model) model.reset(new factors{std::vector<float>(model_bytes / sizeof(float), 1.0F)});
    return *model;
  };
  measure(
      axis, x, "s", [&] { return with_new_pool(made(), n_workers, [](double taken) { return taken; }); },
      [&] { return with_new_pool(made(), n_workers, [](double) { return bench::pss_of_tree(); }); });
}

}  // namespace

int main(int argc, char** argv) {
  bench::initialize(argc, argv);
  by_number_of_tasks();
  by_length_of_tasks();
  by_payload();
  const std::size_t largest = std::size_t{bench::sized(4U, 1U)} << 30;
  constexpr double copies = 2.5;  // the original, the segment, and room to breathe
  for (std::size_t bytes = std::size_t{1} << 20; bytes <= largest; bytes *= 4) {
    if (static_cast<double>(bytes) * copies > available_bytes()) continue;
    measure_pool("model, bytes", static_cast<double>(bytes), bytes, bench::workers);
  }
  constexpr int most_workers = 64;
  for (int n_workers = 1; n_workers <= most_workers; n_workers *= 2)
    measure_pool("workers", n_workers, sizeof(float), n_workers);
}
