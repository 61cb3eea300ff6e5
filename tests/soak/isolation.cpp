// G12: what the host process is and has stays as it was: signal dispositions, children, working directory, umask,
// environment; also where it ignores SIGCHLD or waits for any child.
#include "disposable.hpp"
#include "trial.hpp"

#include <lenskit/invoker.hpp>
#include <lenskit/run_sp.hpp>

#include <sys/stat.h>
#include <sys/wait.h>

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <ranges>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

extern char** environ;

namespace lenskit::soak {
namespace {

using namespace std::chrono_literals;

struct self_portrait {
  std::vector<std::tuple<void (*)(int), int>> dispositions;
  std::vector<bool> blocked;
  std::filesystem::path directory = std::filesystem::current_path();
  mode_t mask = 0;
  std::vector<std::string> environment;

  self_portrait() {
    sigset_t mask_now;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask_now);
    for (int number = 1; number < NSIG; ++number) {
      struct sigaction action {};
      ::sigaction(number, nullptr, &action);
      dispositions.emplace_back(action.sa_handler, action.sa_flags);
      blocked.push_back(::sigismember(&mask_now, number) == 1);
    }
    mask = ::umask(0);
    ::umask(mask);
    for (char** entry = environ; *entry; ++entry) environment.emplace_back(*entry);
  }
  friend bool operator==(const self_portrait&, const self_portrait&) = default;
};

void use_everything() {
  lenskit::invoker inv(0,
                       [](int, int task) {
                         if (task == 5) ::raise(SIGKILL);
                         return task;
                       },
                       {.n_jobs = 2, .engine = engine::processes, .task_timeout = 10s});
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 20))) std::ignore = each.has_value();
  std::ignore = lenskit::run_sp([] { return 1; });
}

pid_t child_that_exits(int code) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(code);
  return child;
}

void leaves_the_host_alone(notes& seen) {
  const self_portrait before;
  constexpr int code = 17;
  const pid_t child = child_that_exits(code);
  use_everything();
  int status = 0;
  if (::waitpid(child, &status, 0) != child || WEXITSTATUS(status) != code)
    seen.complain("the host's own child was reaped");
  if (::waitpid(-1, nullptr, WNOHANG | __WALL) != -1) seen.complain("a child of the library is left to the host");
  if (!(self_portrait() == before)) seen.complain("signals, directory, umask or environment have changed");
}

void host_ignores_children(notes& seen) {
  ::signal(SIGCHLD, SIG_IGN);
  const self_portrait before;
  use_everything();
  if (!(self_portrait() == before)) seen.complain("signals, directory, umask or environment have changed");
}

void host_reaps_anything(notes&) {
  std::atomic<bool> enough = false;
  std::thread thief([&] {
    while (!enough) {
      if (::waitpid(-1, nullptr, __WALL) < 0) std::this_thread::sleep_for(1ms);
    }
  });
  use_everything();
  enough = true;
  thief.join();
}

}  // namespace

std::vector<score> isolation(const settings& how) {
  long passed = 0;
  long all = 0;
  constexpr auto watchdog = 20s;
  disposable_processes runs(how.at_once, watchdog, [&](const ending& end) {
    ++all;
    passed += end.complaints.empty() ? 1 : 0;
    for (const auto& line : end.complaints) std::printf("%s: %s\n", end.label.c_str(), line.c_str());
  });
  for (long run = 0; run < how.runs; ++run) {
    runs.start("plain host", leaves_the_host_alone);
    runs.start("SIGCHLD ignored", host_ignores_children);
    runs.start("waitpid(-1) in a thread", host_reaps_anything);
  }
  runs.finish();
  return {
      {"G12", passed == all,
       fmt::format("{} of {} hosts untouched: plain, with SIGCHLD ignored, with a waitpid(-1) thread", passed, all)}};
}

}  // namespace lenskit::soak
