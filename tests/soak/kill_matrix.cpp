// G4: each kill point with each fault, three sizes of the pool and five of the payload. Whatever happens, every other
// task has its right result in its place, at most one fails, in time, and the pool works on.
#include "disposable.hpp"
#include "kill_points.hpp"
#include "trial.hpp"

#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/invoker.hpp>

#include <fmt/format.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/spdlog.h>
#include <support/shared_counters.hpp>

#include <boost/serialization/string.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <random>
#include <string>
#include <tuple>
#include <vector>

namespace lenskit::soak {
namespace {

using namespace std::chrono_literals;

constexpr std::array pool_sizes{1, 2, 4};
constexpr std::array<std::size_t, 5> payload_sizes{0, 1, 4095, 64U << 10, 8U << 20};
constexpr auto cells = point_names.size() * fault_names.size() * pool_sizes.size() * payload_sizes.size();
constexpr std::size_t large = 1U << 20;
// Generous for what is moved, because several cells share the machine.
constexpr std::chrono::milliseconds task_limit(std::size_t payload) { return payload > large ? 2s : 300ms; }
// Deadline D of the failure table: a worker that only hangs is found so long after the task's own limit at most, and a
// death at once, whatever the machine does beside.
constexpr auto detection_bound = 2s;
constexpr auto death_bound = 1s;
constexpr auto watchdog = 20s;

struct cell {
  point where;
  fault what;
  int workers;
  std::size_t payload;

  explicit cell(std::size_t number)
      : where(static_cast<point>(number % point_names.size())),
        what(static_cast<fault>(number / point_names.size() % fault_names.size())),
        workers(pool_sizes[number / (point_names.size() * fault_names.size()) % pool_sizes.size()]),
        payload(payload_sizes[number / (point_names.size() * fault_names.size() * pool_sizes.size())]) {}

  [[nodiscard]] std::string name(std::size_t number) const {
    return fmt::format("cell {}: {} at {}, {} workers, {} bytes", number, fault_names[static_cast<std::size_t>(what)],
                       point_names[static_cast<std::size_t>(where)], workers, payload);
  }
};

kill_point* installed = nullptr;

std::string payload_of(int task, std::size_t bytes) { return std::string(bytes, static_cast<char>('a' + task % 26)); }

template <class Result>
std::string what(const lenskit::outcome<Result>& failed) {
  try {
    std::ignore = failed.value();
    return "no error";
  } catch (const std::exception& thrown) {
    return thrown.what();
  }
}

// A result that passes a kill point on its way out.
struct answer {
  int task = 0;
  std::string payload;

  template <class Archive>
  void save(Archive& ar, unsigned) const {
    ar << task;
    installed->pass(point::encode);
    ar << payload;
  }
  template <class Archive>
  void load(Archive& ar, unsigned) {
    ar >> task >> payload;
  }
  BOOST_SERIALIZATION_SPLIT_MEMBER()
};

void live_through(const cell& here, notes& seen) {
  const int descriptors = detail::descriptors_owned();
  const bool dies = here.what != fault::stop && here.what != fault::sleep && here.what != fault::close_descriptors;
  const auto bound = task_limit(here.payload) + (dies ? death_bound : detection_bound);
  const std::size_t count = here.payload > large ? 4 : 12;
  const tests::shared_counters executed(count);
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("cell", std::make_shared<spdlog::sinks::null_sink_mt>()));
  kill_point trap(here.where, here.what, here.payload);
  installed = &trap;
  {
    lenskit::invoker inv(
        here.payload,
        [&](std::size_t bytes, int task, const std::string& argument) {
          ++executed[static_cast<std::size_t>(task)];
          trap.pass(point::run);
          spdlog::info("task {}", task);
          return answer{task, argument == payload_of(task, bytes) ? argument : "garbled"};
        },
        {.n_jobs = here.workers, .engine = engine::processes, .task_timeout = task_limit(here.payload)});
    std::vector<int> tasks(count);
    std::iota(tasks.begin(), tasks.end(), 0);
    std::vector<std::string> payloads;
    for (const int task : tasks) payloads.push_back(payload_of(task, here.payload));
    for (int round = 0; round < 2; ++round) {
      const auto begun = steady::now();
      int next = 0;
      int failed = 0;
      for (const auto& each : inv.map_outcomes(tasks, payloads)) {
        if (!each) {
          if (++failed > (round == 0 ? 1 : 0)) seen.complain(fmt::format("round {}: {}", round, what(each)));
        } else if (each->task != next || each->payload != payloads[static_cast<std::size_t>(next)]) {
          seen.complain(fmt::format("round {}: wrong result of task {}", round, next));
        }
        ++next;
      }
      if (next != static_cast<int>(count)) seen.complain(fmt::format("round {}: {} results of {}", round, next, count));
      if (steady::now() - begun > bound) {
        seen.complain(fmt::format("round {} took {} ms", round, (steady::now() - begun) / 1ms));
      }
    }
    for (std::size_t task = 0; task < count; ++task) {
      const int times = executed[task];
      if (times < 1 || times > 2) seen.complain(fmt::format("task {} ran {} times in two rounds", task, times));
    }
    if (here.where == point::leaving && trap.fired()) seen.complain("a worker left too early");
  }
  if (!trap.fired()) seen.complain("nothing came by the kill point");
  if (detail::descriptors_owned() != descriptors) seen.complain("descriptors are left open");
}

}  // namespace

std::vector<score> kill_matrix(const settings& how) {
  std::vector<std::size_t> chosen(cells);
  std::iota(chosen.begin(), chosen.end(), std::size_t{0});
  const auto wanted = std::min(cells, static_cast<std::size_t>(how.runs));
  if (wanted < cells) {  // a sample, another one with each seed
    std::mt19937_64 lot(how.seed);
    std::shuffle(chosen.begin(), chosen.end(), lot);
    chosen.resize(wanted);
  }
  std::size_t passed = 0;
  constexpr int side_by_side = 2;  // for each core: many cells sleep until a deadline
  disposable_processes runs(how.at_once * side_by_side, watchdog, [&](const ending& end) {
    if (end.complaints.empty()) ++passed;
    for (const auto& line : end.complaints) std::printf("%s: %s\n", end.label.c_str(), line.c_str());
  });
  for (const auto number : chosen) {
    const cell here(number);
    runs.start(here.name(number), [here](notes& seen) { live_through(here, seen); });
  }
  runs.finish();
  return {{"G4", passed == chosen.size(), fmt::format("{} of {} cells (of {} in all)", passed, chosen.size(), cells)}};
}

}  // namespace lenskit::soak
