// The trial "chaos": many seeded runs in which faults of all kinds meet whatever a program may do with its pools.
#include "chaos_consumers.hpp"
#include "chaos_cycles.hpp"
#include "chaos_dice.hpp"
#include "chaos_faults.hpp"
#include "chaos_pace.hpp"
#include "chaos_run.hpp"
#include "chaos_world.hpp"
#include "disposable.hpp"
#include "trial.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <map>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lenskit::soak {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

// A run is over in a tenth of a second; hangs within it are noticed by the run itself.
constexpr auto longest_run = 60s;
constexpr auto longest_cycles = 5min;
constexpr std::array goals{"G2", "G3", "G9", "G10", "G13"};

void name_all_kinds() {
  using namespace chaos;
  for (const auto& each : world_faults()) kind_of(each.name);
  for (const auto& each : blows()) kind_of(each.name);
  for (const auto& each : consumers()) {
    if (each.is_fault) kind_of(each.name);
  }
}

std::string goal_of(std::string_view complaint) {
  for (const std::string_view goal : goals) {
    if (complaint.starts_with(goal) && complaint.substr(goal.size()).starts_with(' ')) return std::string(goal);
  }
  return complaint.starts_with("left behind") ? "G3" : "G2";
}

// What came of the runs, and of the cycles.
class results {
 public:
  void take(const ending& end) {
    slowest_ = std::max(slowest_, {end.took, end.label});
    if (end.complaints.empty()) return;
    std::printf("chaos: run failed; again: soak chaos --runs 1 --seed %s\n", end.label.c_str());
    for (const auto& each : end.complaints) {
      ++missed_[goal_of(each)];
      std::printf("    %s\n", each.c_str());
    }
    std::fflush(stdout);
  }

  void take_cycles(const ending& end) {
    for (const auto& each : end.complaints) {
      ++missed_[goal_of(each)];
      std::printf("chaos: cycles failed: %s\n", each.c_str());
    }
    constexpr std::int64_t unit = 1000;
    cycles_ = end.counters[chaos::cycles_measured];
    if (cycles_ > 0) drift_ = end.counters[chaos::grown_bytes] * unit / cycles_;
  }

  [[nodiscard]] std::vector<score> scores(long runs) const {
    const auto& struck = chaos::the_tally().struck;
    const auto faults = std::accumulate(struck.begin(), struck.end(), std::int64_t{0},
                                        [](std::int64_t sum, const auto& each) { return sum + each.load(); });
    const auto kinds = std::count_if(struck.begin(), struck.end(), [](const auto& each) { return each > 0; });
    print_tally();
    std::vector<score> all;
    for (const auto* goal : goals) {
      const auto found = missed_.find(goal);
      const auto complaints = found == missed_.end() ? 0 : found->second;
      all.push_back({goal, complaints == 0,
                     fmt::format("chaos: {} runs, {} faults of {} kinds, {} system calls broken: {} complaints", runs,
                                 faults, kinds, chaos::the_tally().system_calls.load(), complaints)});
    }
    const bool enough = faults >= least_faults * runs && (runs < enough_for_all_kinds || kinds >= least_kinds);
    all.front().met = all.front().met && enough;
    all.push_back({"G3", cycles_ > 0 && drift_ < most_drift,
                   fmt::format("chaos: {} cycles in one process, resident memory drifts {:+} KiB in 1000", cycles_,
                               drift_ / 1024)});
    return all;
  }

 private:
  static constexpr int least_faults = 10;  // a run, on average
  static constexpr int least_kinds = 40;
  static constexpr long enough_for_all_kinds = 100;
  static constexpr std::int64_t most_drift = std::int64_t{1} << 20;  // bytes in 1000 cycles

  void print_tally() const {
    for (std::size_t kind = 1; kind < chaos::kinds().size(); ++kind) {
      std::printf("    %8lld  %s\n", static_cast<long long>(chaos::the_tally().struck[kind]),
                  chaos::kinds()[kind].c_str());
    }
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(slowest_.first).count();
    std::printf("    the longest run took %lld ms: seed %s\n", static_cast<long long>(ms), slowest_.second.c_str());
  }

  std::map<std::string, long> missed_;
  std::pair<steady::duration, std::string> slowest_{};
  std::int64_t cycles_ = 0;
  std::int64_t drift_ = 0;
};

void run_seeds(const settings& how, results& into) {
  const auto directory = fs::temp_directory_path() / fmt::format("lenskit-chaos.{}", ::getpid());
  // Most of the time a run waits for something to happen.
  constexpr int runs_per_processor = 2;
  disposable_processes runs(runs_per_processor * how.at_once, longest_run, [&](const ending& end) {
    fs::remove_all(directory / end.label);
    into.take(end);
  });
  for (long run = 0; run < how.runs; ++run) {
    const auto seed = how.seed + static_cast<std::uint64_t>(run);
    const auto own = directory / std::to_string(seed);
    fs::create_directories(own);
    fs::permissions(own, fs::perms::all | fs::perms::sticky_bit);
    runs.start(std::to_string(seed), [seed, own](notes& complaints) { chaos::run(seed, own, complaints); });
  }
  runs.finish();
  fs::remove_all(directory);
}

// A few hundred at least, or what has only been used for the first time would look like a leak.
void run_cycles(const settings& how, results& into) {
  const auto count = std::clamp(how.runs / 10, 400L, 1000L);
  disposable_processes one(1, longest_cycles, [&](const ending& end) { into.take_cycles(end); });
  one.start("cycles", [count](notes& complaints) { chaos::cycle(count, complaints); });
  one.finish();
}

}  // namespace

std::vector<score> run_chaos(const settings& how) {
  chaos::map_tally();
  name_all_kinds();
  results all;
  {
    const chaos::pace_maker pace;
    run_seeds(how, all);
  }
  run_cycles(how, all);
  return all.scores(how.runs);
}

}  // namespace lenskit::soak
