// The trial "chaos": many seeded runs in which faults of all kinds meet whatever a program may do with its pools.
#include "chaos_consumers.hpp"
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
#include <string_view>

namespace lenskit::soak {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

// A run is over in a tenth of a second; hangs within it are noticed by the run itself.
constexpr auto longest_run = 60s;
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

}  // namespace

std::vector<score> run_chaos(const settings& how) {
  chaos::map_tally();
  name_all_kinds();
  const chaos::pace_maker pace;
  const auto directory = fs::temp_directory_path() / fmt::format("lenskit-chaos.{}", ::getpid());
  std::map<std::string, long> missed;
  std::pair<steady::duration, std::string> slowest{};
  disposable_processes runs(how.at_once, longest_run, [&](ending end) {
    fs::remove_all(directory / end.label);
    slowest = std::max(slowest, {end.took, end.label});
    if (end.complaints.empty()) return;
    std::printf("chaos: run failed; again: soak chaos --runs 1 --seed %s\n", end.label.c_str());
    for (const auto& each : end.complaints) {
      ++missed[goal_of(each)];
      std::printf("    %s\n", each.c_str());
    }
    std::fflush(stdout);
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

  const auto& struck = chaos::the_tally().struck;
  const auto faults = std::accumulate(struck.begin(), struck.end(), std::int64_t{0},
                                      [](std::int64_t sum, const auto& each) { return sum + each.load(); });
  const auto kinds = std::count_if(struck.begin(), struck.end(), [](const auto& each) { return each > 0; });
  for (std::size_t kind = 1; kind < chaos::kinds().size(); ++kind) {
    std::printf("    %8lld  %s\n", static_cast<long long>(struck[kind]), chaos::kinds()[kind].c_str());
  }
  std::printf("    the longest run took %lld ms: seed %s\n",
              static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(slowest.first).count()),
              slowest.second.c_str());
  std::vector<score> scores;
  for (const auto* goal : goals) {
    scores.push_back({goal, missed[goal] == 0,
                      fmt::format("{} runs, {} faults of {} kinds, {} system calls broken: {} complaints", how.runs,
                                  faults, kinds, chaos::the_tally().system_calls.load(), missed[goal])});
  }
  return scores;
}

}  // namespace lenskit::soak
