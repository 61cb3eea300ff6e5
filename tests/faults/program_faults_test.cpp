// B1 to B3, F1, P3, P5 and U1: the start and the end of a program, its plugins, threads and children.
#include <lenskit/detail/os/orphans.hpp>
#include <lenskit/invoker.hpp>
#include <lenskit/run_sp.hpp>
#include <support/catch.hpp>
#include <support/disposable_parent.hpp>
#include <support/engines.hpp>
#include <support/in_child.hpp>
#include <support/reporting_child.hpp>
#include <support/shared_counters.hpp>

#include <sys/prctl.h>
#include <sys/wait.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <ranges>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#ifndef __SANITIZE_THREAD__

using lenskit::invoker;
using lenskit::tests::disposable_parent;
using lenskit::tests::holds_in_child;
using lenskit::tests::on;
using lenskit::tests::shared_counters;
using namespace std::chrono_literals;

namespace {

constexpr auto processes = lenskit::engine::processes;

// Its exit status.
int run_program(const std::string& name, const std::string& argument = "") {
  const std::string path = LENSKIT_TESTS_PROGRAMS "/" + name;
  const pid_t pid = fork();
  if (pid == 0) {
    execl(path.c_str(), path.c_str(), argument.c_str(), nullptr);
    _exit(127);
  }
  int status = -1;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::set<pid_t> children(bool zombies) {
  std::set<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::string text;
    std::ifstream stat(entry.path() / "stat");
    if (!std::getline(stat, text)) continue;
    const auto end = text.rfind(')');
    char state = '?';
    pid_t parent = 0;
    if (end != std::string::npos && std::sscanf(text.c_str() + end, ") %c %d", &state, &parent) == 2 &&
        parent == getpid() && (state == 'Z') == zombies)
      found.insert(std::stoi(text));
  }
  return found;
}

template <class Condition>
bool comes_true(Condition condition, std::chrono::seconds within = 10s) {
  const auto deadline = std::chrono::steady_clock::now() + within;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

}  // namespace

TEST_CASE("B1: pools and subprocesses work in initialisers of global objects, and pools made there later",
          "[no_tsan]") {
  CHECK(run_program("global_pool") == 0);
}

TEST_CASE("B1: a child that freezes at the fork goes with its killed program, wherever it froze", "[no_tsan]") {
  static std::mutex busy;
  static shared_counters* forks = nullptr;
  static pid_t program = 0;
  const bool in_spawner = GENERATE(false, true);  // else in the child that is to become it
  CAPTURE(in_spawner);
  shared_counters counted(1);
  forks = &counted;
  disposable_parent parent([&] {
    program = getpid();
    std::thread([] {
      busy.lock();
      pause();
    }).detach();
    std::this_thread::sleep_for(50ms);
    if (in_spawner) {
      const auto freeze = [] {
        if (getpid() == program) return;
        ++(*forks)[0];
        pause();
      };
      pthread_atfork(freeze, nullptr, nullptr);
    } else {
      const auto freeze = [] {
        ++(*forks)[0];
        busy.lock();
      };
      pthread_atfork(nullptr, nullptr, freeze);
    }
    invoker inv(
        0, [](int, int x) { return x; }, on(processes, 1));
  });
  REQUIRE(comes_true([&] { return counted[0] > 0; }));
  parent.send(SIGKILL);
  parent.wait();
  CHECK(parent.leaves_nothing(1s));
}

TEST_CASE("B2: a pool works in an exit handler and in the destructor of a global object", "[no_tsan]") {
  const std::string where = GENERATE("handler", "handler, used before", "destructor", "destructor, used before");
  CAPTURE(where);
  CHECK(run_program("exit_pool", where) == 0);
}

TEST_CASE("B3: a plugin that is unloaded leaves nothing behind that harms later pools", "[no_tsan][no_asan]") {
  const int status = run_program("plugin_host", LENSKIT_TESTS_PROGRAMS "/libplugin.so");
  if (status == 77) LENSKIT_SKIP("a plugin stays loaded here");
  CHECK(status == 0);
}

TEST_CASE("V4: a BLAS that is linked statically is warned of", "[no_tsan]") { CHECK(run_program("static_blas") == 0); }

TEST_CASE("P3: a program that waits for all its children meets its own, and the pool works on", "[no_tsan]") {
  if (!lenskit::detail::others_bury_orphans()) LENSKIT_SKIP("nobody buries orphans here");
  CHECK(holds_in_child([] {
    invoker inv(
        0, [](int, int x) { return x; }, on(processes));
    for (int i = 0; i < 3; ++i) {
      if (fork() == 0) _exit(i);
    }
    int met = 0;
    while (wait(nullptr) > 0) ++met;
    const bool works = inv.map(std::vector{1, 2, 3}).collect() == std::vector{1, 2, 3};
    const bool alone = waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD;
    return met == 3 && works && alone && lenskit::run_sp([] { return 7; }) == 7;
  }));
}

TEST_CASE("P5: where orphans come to the program, a killed spawner leaves no zombie", "[no_tsan]") {
  CHECK(holds_in_child([] {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    int items = 0;
    {
      invoker inv(
          0,
          [](int, int x) {
            std::this_thread::sleep_for(2ms);
            return x;
          },
          on(processes));
      for ([[maybe_unused]] const auto& each : inv.map_outcomes(std::views::iota(0, 200))) {
        if (++items == 50 || items == 120) {
          for (const pid_t spawner : children(false)) kill(spawner, SIGKILL);
        }
      }
    }
    return items == 200 && comes_true([] { return children(true).empty(); }, 3s) && children(false).empty();
  }));
}

TEST_CASE("P5: where orphans are buried late or never, they do not pile up", "[no_tsan]") {
  shared_counters seen(1);
  disposable_parent reaper([&] {  // adopts the orphans of the program, and does nothing about them
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    const pid_t program = fork();
    if (program == 0) {
      for (int pool = 0; pool < 30; ++pool) lenskit::run_sp([] {});
      _exit(0);
    }
    waitpid(program, nullptr, 0);
    seen[0] = static_cast<int>(children(true).size());
  });
  reaper.wait();
  CHECK(seen[0] > 0);
  CHECK(seen[0] < 12);
}

TEST_CASE("F1: a model that is inherited beside threads is warned of, once and by their names", "[no_tsan]") {
  CHECK(holds_in_child([] {
    const lenskit::tests::fresh_loggers loggers;
    struct searcher {
      std::mutex mutex;  // so that it cannot be stored
    };
    const searcher model;
    const auto use = [&] {
      invoker inv(
          model, [](const searcher&, int x) { return x; }, on(processes));
      return inv.map(std::vector{1}).collect() == std::vector{1};
    };
    const auto warnings = [&] {
      int count = 0;
      for (const auto& each : loggers.sink->records())
        count += each.text.find("1 other thread (finder)") != each.text.npos;
      return count;
    };
    const bool quiet = use() && warnings() == 0;
    std::jthread finder([](const std::stop_token& stop) {
      pthread_setname_np(pthread_self(), "finder");
      while (!stop.stop_requested()) std::this_thread::sleep_for(1ms);
    });
    std::this_thread::sleep_for(20ms);
    return quiet && use() && use() && warnings() == 1;
  }));
}

TEST_CASE("U1: a forked child that goes on with a live range is refused, and its parent gets everything", "[no_tsan]") {
  ON_EVERY_ENGINE(engine);
  invoker inv(
      0,
      [](int, int x) {
        std::this_thread::sleep_for(20us);
        return x;
      },
      on(engine));
  constexpr int n_tasks = 2000;
  auto results = inv.map(std::views::iota(0, n_tasks));
  int index = 0;
  pid_t child = -1;
  for (const int each : results) {
    if (index == 100 && (child = fork()) == 0) {
      alarm(10);
      try {
        for ([[maybe_unused]] const int more : results) {}
      } catch (const lenskit::invoker_closed&) {
        _exit(0);
      }
      _exit(1);
    }
    REQUIRE(each == index++);
  }
  CHECK(index == n_tasks);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

#endif
