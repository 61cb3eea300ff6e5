// What a soak consists of: trials, each of which measures one goal of the scorecard in many disposable processes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lenskit::soak {

struct settings {
  long runs = 0;           ///< how many runs of the trial; what one run is, the trial says
  std::uint64_t seed = 0;  ///< of everything that is drawn by lot
  int at_once = 2;         ///< disposable processes side by side
};

/// One line of the scorecard.
struct score {
  std::string goal;    ///< "G4"
  bool met = false;    ///< whether the goal is
  std::string figure;  ///< what was seen, with its number of runs
};

/// What `soak <name>` does. A trial prints what failed, with all that is needed to see it again, as it goes.
struct trial {
  const char* name;
  const char* about;
  long short_runs;  ///< for every test run: seconds
  long full_runs;   ///< for the scorecard
  std::vector<score> (*run)(const settings&);
};

std::vector<score> table_a(const settings&);
std::vector<score> kill_matrix(const settings&);
std::vector<score> death_latency(const settings&);
std::vector<score> parent_kill(const settings&);
std::vector<score> fork_storm(const settings&);
std::vector<score> memory_bound(const settings&);
std::vector<score> large_frame(const settings&);
std::vector<score> isolation(const settings&);
std::vector<score> determinism(const settings&);
std::vector<score> run_chaos(const settings&);

/// Every trial, in the order of the scorecard.
const std::vector<trial>& all_trials();

}  // namespace lenskit::soak
