// G7: the host is killed at any moment of a pool's life. Within a second no process of it lives, and no file, no name
// in /dev/shm is left.
#include "disposable.hpp"
#include "trial.hpp"

#include <lenskit/invoker.hpp>
#include <lenskit/persist.hpp>
#include <lenskit/run_sp.hpp>

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

namespace lenskit::soak {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

enum class state { busy, idle, stopped, in_subprocess, with_descendants, ends };

struct scene {
  state what;
  int workers;
  persist_method method;
  std::chrono::microseconds killed_after;
};

scene draw(std::mt19937_64& lot) {
  const auto one_of = [&](int count) { return std::uniform_int_distribution<int>(0, count - 1)(lot); };
  constexpr persist_method methods[] = {persist_method::shm, persist_method::file, persist_method::inherit};
  // Often while the pool is being made, seldom long after.
  const double fraction = std::uniform_real_distribution<double>(0, 1)(lot);
  return {static_cast<state>(one_of(static_cast<int>(state::ends))), 1 + one_of(4), methods[one_of(3)],
          std::chrono::microseconds(static_cast<int>(30'000 * fraction * fraction * fraction))};
}

void work(const scene& here) {
  if (here.what == state::stopped) ::raise(SIGSTOP);
  if (here.what == state::with_descendants && ::fork() == 0) {
    for (;;) ::pause();
  }
  for (;;) ::pause();
}

void live_until_killed(const scene& here) {
  std::thread([&] {
    std::this_thread::sleep_for(here.killed_after);
    ::kill(::getpid(), SIGKILL);
  }).detach();
  const std::vector<int> model(100'000, 1);
  for (;;) {
    if (here.what == state::in_subprocess) lenskit::run_sp([&] { work(here); });
    lenskit::invoker inv(model,
                         [&](const std::vector<int>& numbers, int task) {
                           if (here.what != state::idle) work(here);
                           return numbers[static_cast<std::size_t>(task)];
                         },
                         {.n_jobs = here.workers, .engine = engine::processes, .persist_method = here.method});
    const auto results = inv.map(std::views::iota(0, 20)).collect();
    std::this_thread::sleep_for(1ms);
  }
}

std::size_t entries_of(const fs::path& directory, std::string_view prefix) {
  std::size_t count = 0;
  for (const auto& entry : fs::directory_iterator(directory))
    count += entry.path().filename().native().starts_with(prefix) ? 1U : 0U;
  return count;
}

}  // namespace

std::vector<score> parent_kill(const settings& how) {
  const auto directory = fs::temp_directory_path() / fmt::format("lenskit-soak-{}", ::getpid());
  fs::create_directory(directory);
  ::setenv("LK_TEMP_DIR", directory.c_str(), 1);
  const auto names_before = entries_of("/dev/shm", "lenskit");
  std::mt19937_64 lot(how.seed);
  long survived = 0;
  constexpr auto watchdog = 20s;
  disposable_processes runs(how.at_once * 2, watchdog, [&](const ending& end) {
    if (!end.complaints.empty()) ++survived;
    for (const auto& line : end.complaints) std::printf("%s: %s\n", end.label.c_str(), line.c_str());
  });
  for (long run = 0; run < how.runs; ++run) {
    const auto here = draw(lot);
    const auto label = fmt::format("state {}, {} workers, method {}, killed after {} us", static_cast<int>(here.what),
                                   here.workers, static_cast<int>(here.method), here.killed_after.count());
    runs.start(
        label, [&](notes&) { live_until_killed(here); }, SIGKILL);
  }
  runs.finish();
  const auto files = entries_of(directory, "");
  const auto names = entries_of("/dev/shm", "lenskit") - names_before;
  fs::remove_all(directory);
  ::unsetenv("LK_TEMP_DIR");
  return {{"G7", survived == 0 && files == 0 && names == 0,
           fmt::format("{} of {} hosts killed without a survivor after 1 s; {} files, {} names left",
                       how.runs - survived, how.runs, files, names)}};
}

}  // namespace lenskit::soak
