// B1 to B3, H1, H6, V6, P3, P5 and U1: the start and the end of a program, its plugins, rights, signals and children.
#include <lenskit/detail/os/orphans.hpp>
#include <lenskit/invoker.hpp>
#include <lenskit/run_sp.hpp>
#include <support/call_faults.hpp>
#include <support/catch.hpp>
#include <support/disposable_parent.hpp>
#include <support/engines.hpp>
#include <support/in_child.hpp>
#include <support/reporting_child.hpp>
#include <support/shared_counters.hpp>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <pthread.h>
#include <setjmp.h>
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
using lenskit::detail::sys::call;
using lenskit::tests::call_faults;
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

TEST_CASE("H1: a program that has dropped its rights, or may not send signals, ends late tasks all the same",
          "[no_tsan]") {
  const bool refused = GENERATE(true, false);
  if (!refused && geteuid() != 0) LENSKIT_SKIP("only root has rights to drop");
  CHECK(holds_in_child([refused] {
    auto options = on(processes);
    options.task_timeout = 200ms;
    invoker inv(
        0,
        [](int, int x) {
          if (x == 3) std::this_thread::sleep_for(300s);
          return x;
        },
        options);
    if (inv.map(std::vector{1, 2}).collect() != std::vector{1, 2}) return false;
    constexpr uid_t nobody = 65534;
    if (!refused && (setgid(nobody) != 0 || setuid(nobody) != 0)) return false;
    const pid_t program = getpid();
    const call_faults filter(
        [&](call which) { return refused && which == call::pidfd_send_signal && getpid() == program ? EPERM : 0; });
    const auto begin = std::chrono::steady_clock::now();
    int values = 0;
    int late = 0;
    for (const auto& each : inv.map_outcomes(std::vector{1, 2, 3, 4})) {
      try {
        static_cast<void>(each.value());
        ++values;
      } catch (const lenskit::task_timeout&) {
        ++late;
      }
    }
    inv.shutdown();
    return values == 3 && late == 1 && std::chrono::steady_clock::now() - begin < 10s;
  }));
}

TEST_CASE("H6: a signal to every process of a service is the program's to handle", "[no_tsan]") {
  const int number = GENERATE(SIGTERM, SIGHUP, SIGQUIT, SIGUSR1);
  CAPTURE(number);
  shared_counters heard(1);
  static shared_counters* handled = nullptr;
  handled = &heard;
  CHECK(holds_in_child([number] {
    signal(number, [](int) { ++(*handled)[0]; });
    auto options = on(processes);
    options.chunk_size = 1;
    invoker inv(
        0,
        [](int, int) {
          std::this_thread::sleep_for(50ms);
          return static_cast<int>(getpid());
        },
        options);
    std::set<int> workers;
    int lost = 0;
    int done = 0;
    for (const auto& each : inv.map_outcomes(std::views::iota(0, 12))) {
      lost += each.has_error();
      if (each.has_value()) workers.insert(*each);
      if (++done != 4) continue;
      const pid_t manager = fork();
      if (manager == 0) {
        for (const int worker : workers) kill(worker, number);
        kill(getppid(), number);
        _exit(0);
      }
      waitpid(manager, nullptr, 0);
    }
    return lost == 0 && done == 12 && workers.size() == 2;
  }));
  CHECK(heard[0] == 1);
}

TEST_CASE("H6: from itself, its program and to its own children SIGTERM does what it always does", "[no_tsan]") {
  shared_counters worker(1);
  invoker inv(
      0,
      [&](int, int x) {
        if (x == 0) raise(SIGTERM);
        if (x == 1) {
          worker[0] = getpid();
          std::this_thread::sleep_for(300s);
        }
        const pid_t child = fork();
        if (child == 0) {
          pause();
          _exit(1);
        }
        kill(child, SIGTERM);
        int status = 0;
        waitpid(child, &status, 0);
        return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
      },
      on(processes, 1));
  std::jthread ender([&] {
    if (comes_true([&] { return worker[0] != 0; })) kill(worker[0], SIGTERM);
  });
  const auto outcomes = inv.map_outcomes(std::views::iota(0, 3)).collect();
  for (const auto& died : {outcomes[0], outcomes[1]}) {
    try {
      static_cast<void>(died.value());
      FAIL("the worker lived on");
    } catch (const lenskit::worker_died& death) {
      CHECK(death.signal() == SIGTERM);
    }
  }
  CHECK(outcomes[2].value() == SIGTERM);
}

TEST_CASE("V6: a fault that the program's handler mends is none, on every engine", "[no_tsan]") {
  ON_EVERY_ENGINE(engine);
  static char* page = nullptr;
  static sigjmp_buf back;
  CHECK(holds_in_child([engine] {
    page = static_cast<char*>(mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    signal(SIGSEGV, [](int) {
      mprotect(page, 4096, PROT_READ | PROT_WRITE);
      page[0] = 42;
    });
    struct sigaction action {};
    action.sa_sigaction = [](int, siginfo_t*, void*) { siglongjmp(back, 1); };
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGFPE, &action, nullptr);
    invoker inv(
        0,
        [](int, int x) {
          if (x != 1) return static_cast<int>(static_cast<volatile char*>(page)[0]);
          if (sigsetjmp(back, 1) != 0) return 43;
          raise(SIGFPE);
          return 0;
        },
        on(engine, 1));
    const bool right = inv.map(std::vector{0, 1, 0, 1}).collect() == std::vector{42, 43, 42, 43};
    munmap(page, 4096);
    return right;
  }));
}

TEST_CASE("V6: a fault that the program's handler gives up is reported, and kills the worker alone", "[no_tsan]") {
  struct way {
    const char* name;
    void (*handler)(int);
    int flags;
  };
  static constexpr way ways[] = {
      {"default and again", [](int number) { signal(number, SIG_DFL); }, 0},
      {"default and raise",
       [](int number) {
         signal(number, SIG_DFL);
         raise(number);
       },
       0},
      {"once", [](int) {}, static_cast<int>(SA_RESETHAND)},
      {"once and raise", [](int number) { raise(number); }, static_cast<int>(SA_RESETHAND) | SA_NODEFER},
  };
  const auto& how = ways[GENERATE(range(0, 4))];
  INFO(how.name);
  CHECK(holds_in_child([&how] {
    struct sigaction action {};
    action.sa_handler = how.handler;
    action.sa_flags = how.flags;
    sigaction(SIGSEGV, &action, nullptr);
    invoker inv(
        0,
        [](int, int x) {
          if (x == 1) *reinterpret_cast<volatile int*>(std::uintptr_t{16}) = 1;
          return x;
        },
        on(processes, 1));
    bool right = true;
    int index = 0;
    for (const auto& each : inv.map_outcomes(std::views::iota(0, 3))) {
      if (index++ != 1) {
        right = right && each.has_value();
        continue;
      }
      try {
        static_cast<void>(each.value());
        right = false;
      } catch (const lenskit::worker_died& death) {
        right = right && death.signal() == SIGSEGV && !death.stack().empty();
      }
    }
    return right;
  }));
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
