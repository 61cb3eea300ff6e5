// soak [--list] [--short] [--runs N] [--seed S] [--at-once N] [trial...]: runs trials and prints a line of the
// scorecard for each goal: "G4 met 1485 of 1485 cells". Ends with 1 if a goal was missed.
#include "trial.hpp"

#include <spdlog/sinks/null_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace lenskit::soak {

const std::vector<trial>& all_trials() {
  static const std::vector<trial> trials{
      {"table-a", "the faults on which known pools were compared", 1, 1, table_a},
      {"chaos", "seeded runs that mix faults of all kinds", 200, 10'000, run_chaos},
      {"kill-matrix", "a worker broken at each point of the protocol, in each way", 150, 1485, kill_matrix},
      {"death-latency", "deaths on a busy machine, and how soon they are known", 100, 1000, death_latency},
      {"parent-kill", "hosts killed at any moment of a pool's life", 60, 1000, parent_kill},
      {"fork-storm", "pools that start beside threads which hammer locks", 100, 10'000, fork_storm},
      {"memory-bound", "endless input", 20'000, 1'000'000, memory_bound},
      {"large-frame", "a result of 4.1 GB", 1, 1, large_frame},
      {"isolation", "hosts that look whether they were changed", 3, 50, isolation},
      {"determinism", "the same seeds on every engine, with kills", 1, 20, determinism},
  };
  return trials;
}

namespace {

struct command {
  bool list = false;
  bool brief = false;
  long runs = 0;
  settings how{};
  std::vector<const trial*> trials;
};

template <class Number>
Number number_of(std::string_view option, const char* text) {
  Number value{};
  const char* end = text ? text + std::strlen(text) : nullptr;
  const auto [stopped, error] = std::from_chars(text, end, value);
  if (text == end || error != std::errc() || stopped != end)
    throw std::invalid_argument(std::string(option) + " needs a number, not \"" + (text ? text : "") + '"');
  return value;
}

command parse(char** arguments) {
  command result;
  result.how.seed = std::random_device()();
  result.how.at_once = static_cast<int>(std::max(2U, std::thread::hardware_concurrency()));
  for (++arguments; *arguments; ++arguments) {
    const std::string_view word = *arguments;
    const auto value = [&] { return arguments[1] ? *++arguments : nullptr; };
    if (word == "--list")
      result.list = true;
    else if (word == "--short")
      result.brief = true;
    else if (word == "--runs")
      result.runs = number_of<long>(word, value());
    else if (word == "--seed")
      result.how.seed = number_of<std::uint64_t>(word, value());
    else if (word == "--at-once")
      result.how.at_once = number_of<int>(word, value());
    else {
      const auto& trials = all_trials();
      const auto found =
          std::find_if(trials.begin(), trials.end(), [&](const auto& each) { return word == each.name; });
      if (found == trials.end())
        throw std::invalid_argument("there is no trial \"" + std::string(word) + "\": see --list");
      result.trials.push_back(&*found);
    }
  }
  if (result.trials.empty())
    for (const auto& each : all_trials()) result.trials.push_back(&each);
  return result;
}

int run(const command& what) {
  if (what.list) {
    for (const auto& each : what.trials)
      std::printf("%-14s %s (short %ld, full %ld)\n", each->name, each->about, each->short_runs, each->full_runs);
    return EXIT_SUCCESS;
  }
  bool all_met = true;
  for (const auto* each : what.trials) {
    auto how = what.how;
    how.runs = what.runs > 0 ? what.runs : what.brief ? each->short_runs : each->full_runs;
    const auto begun = std::chrono::steady_clock::now();
    const auto scores = each->run(how);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    for (const auto& score : scores) {
      std::printf("%-4s %-6s %s\n", score.goal.c_str(), score.met ? "met" : "MISSED", score.figure.c_str());
      all_met &= score.met;
    }
    std::printf("     (%s: seed %llu, %.0f s)\n", each->name, static_cast<unsigned long long>(how.seed), took.count());
    std::fflush(stdout);
  }
  return all_met ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace lenskit::soak

int main(int, char** arguments) {
  try {
    spdlog::set_default_logger(spdlog::null_logger_mt("soak"));  // a trial that looks at records has its own sinks
    return lenskit::soak::run(lenskit::soak::parse(arguments));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "soak: %s\n", error.what());
    return 2;
  }
}
