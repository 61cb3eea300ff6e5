#include <lenskit/detail/engines/table.hpp>
#include <lenskit/error.hpp>
#include <lenskit/invoker.hpp>
#include <lenskit/shared_array.hpp>

#include <fmt/format.h>

#include <chrono>
#include <numeric>
#include <vector>

#include "sections.hpp"

namespace lenskit::doctor {
namespace {

constexpr int tasks = 1000;
constexpr int workers = 2;
constexpr std::chrono::seconds task_limit{10};

struct patient {
  shared_array<double> numbers;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& numbers;
  }
};

double examine(const patient& model, int task) {
  return model.numbers[static_cast<std::size_t>(task) % model.numbers.size()] + task;
}

// Empty when every result was right.
std::string wrong_result(const std::vector<double>& results, const patient& model) {
  if (results.size() != tasks) return fmt::format("{} results instead of {}", results.size(), tasks);
  for (int task = 0; task < tasks; ++task) {
    if (results[static_cast<std::size_t>(task)] != examine(model, task)) return fmt::format("task {} is wrong", task);
  }
  return {};
}

value try_engine(const detail::engine_row& engine, const patient& model, findings& found) {
  using clock = std::chrono::steady_clock;
  const auto milliseconds = [](clock::duration time) {
    return std::chrono::duration<double, std::milli>(time).count();
  };
  std::vector<int> inputs(tasks);
  std::iota(inputs.begin(), inputs.end(), 0);
  try {
    invoker_options options{.n_jobs = workers, .engine = engine.which};
    if (engine.stops_tasks) options.task_timeout = task_limit;
    const auto begin = clock::now();
    invoker inv(model, examine, options);
    const auto started = clock::now();
    const auto results = inv.map(inputs).collect();
    const auto done = clock::now();
    inv.shutdown();
    const auto ended = clock::now();
    if (const auto wrong = wrong_result(results, model); !wrong.empty()) throw std::runtime_error(wrong);
    const double start_ms = milliseconds(started - begin);
    const double us_per_task = milliseconds(done - started) * 1000 / tasks;
    const double stop_ms = milliseconds(ended - done);
    value whole(value::table{{"works", true},
                             {"workers", inv.n_jobs()},
                             {"start_ms", start_ms},
                             {"us_per_task", us_per_task},
                             {"stop_ms", stop_ms}});
    return std::move(whole).shown_as(
        fmt::format("works: {:.2f} ms to start, {:.2f} us a task, {:.2f} ms to stop", start_ms, us_per_task, stop_ms));
  } catch (const settings_error& error) {
    return value::table{{"works", false}, {"error", error.what()}};  // one problem, found with the settings
  } catch (const std::exception& error) {
    found.problems.push_back({fmt::format("the engine {} does not work: {}", engine.name, error.what())});
    return value::table{{"works", false}, {"error", error.what()}};
  }
}

}  // namespace

value examine_engines(findings& found) {
  std::vector<double> numbers(100'000);
  std::iota(numbers.begin(), numbers.end(), 0.5);
  const patient model{shared_array<double>(std::move(numbers))};
  value::table tried;
  for (const auto& each : detail::engine_table()) tried.emplace_back(each.name, try_engine(each, model, found));
  return tried;
}

}  // namespace lenskit::doctor
