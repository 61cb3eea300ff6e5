// P3 to P5: whose children are whose, which process a number means, and who buries the dead.
#include <lenskit/detail/os/process.hpp>
#include <lenskit/invoker.hpp>
#include <support/call_faults.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/in_child.hpp>
#include <support/shared_counters.hpp>

#include <sys/wait.h>

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <ranges>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using lenskit::invoker;
using lenskit::worker_died;
using lenskit::detail::process;
using lenskit::detail::sys::call;
using lenskit::tests::call_faults;
using lenskit::tests::holds_in_child;
using lenskit::tests::on;
using lenskit::tests::shared_counters;
using namespace std::chrono_literals;

#ifndef __SANITIZE_THREAD__
namespace {

constexpr auto processes = lenskit::engine::processes;

// A pool with deaths, from start to end, soon: each death costs its task, and is known by its code.
bool deaths_are_told_in_full() {
  const auto start = std::chrono::steady_clock::now();
  {
    invoker inv(
        0,
        [](int, int x) {
          if (x % 10 == 3) _exit(7);
          if (x % 10 == 6) raise(SIGKILL);
          return x;
        },
        on(processes));
    int index = 0;
    for (const auto& each : inv.map_outcomes(std::views::iota(0, 40))) {
      try {
        if (each.value() != index) return false;
        if (index % 10 == 3 || index % 10 == 6) return false;
      } catch (const worker_died& death) {
        if (index % 10 == 3 ? death.exit_code() != 7 : death.signal() != SIGKILL) return false;
      }
      ++index;
    }
    if (index != 40) return false;
  }
  return std::chrono::steady_clock::now() - start < 5s;
}

pid_t start_child(int code) {
  const pid_t child = fork();
  if (child == 0) _exit(code);
  return child;
}

std::map<pid_t, char> children_of(pid_t parent) {
  std::map<pid_t, char> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::string line;
    std::ifstream stat(entry.path() / "stat");
    if (!std::getline(stat, line)) continue;
    const auto rest = line.rfind(')');
    if (rest == std::string::npos) continue;
    char state = '?';
    pid_t ppid = 0;
    if (std::sscanf(line.c_str() + rest + 1, " %c %d", &state, &ppid) == 2 && ppid == parent)
      found[std::stoi(name)] = state;
  }
  return found;
}

}  // namespace

TEST_CASE("P3: a thread of the host that reaps whatever it gets does not disturb a pool", "[no_tsan]") {
  CHECK(holds_in_child([] {
    std::atomic<bool> enough{false};
    std::thread thief([&] {
      while (!enough) {
        if (waitpid(-1, nullptr, 0) < 0) std::this_thread::sleep_for(100us);
      }
    });
    bool held = true;
    for (int pool = 0; pool < 5; ++pool) held = held && deaths_are_told_in_full();
    enough = true;
    thief.join();
    return held;
  }));
}

TEST_CASE("P3: a host that ignores SIGCHLD, or wants no zombies, has pools like any other", "[no_tsan]") {
  const bool ignore = GENERATE(true, false);
  CHECK(holds_in_child([ignore] {
    struct sigaction action {};
    action.sa_handler = ignore ? SIG_IGN : SIG_DFL;
    action.sa_flags = ignore ? 0 : SA_NOCLDWAIT;
    sigaction(SIGCHLD, &action, nullptr);
    const bool held = deaths_are_told_in_full();
    struct sigaction after {};
    sigaction(SIGCHLD, nullptr, &after);
    const bool kept =
        after.sa_handler == action.sa_handler && (after.sa_flags & SA_NOCLDWAIT) == (action.sa_flags & SA_NOCLDWAIT);
    return held && kept;
  }));
}

TEST_CASE("P3: the host's own children are its own, and its SIGCHLD handler hears of few others", "[no_tsan]") {
  CHECK(holds_in_child([] {
    static std::atomic<int> heard{0};
    heard = 0;
    struct sigaction action {};
    action.sa_handler = [](int) { ++heard; };
    sigaction(SIGCHLD, &action, nullptr);
    const pid_t early = start_child(41);
    const bool held = deaths_are_told_in_full();
    const pid_t late = start_child(42);
    int status = 0;
    bool right = waitpid(early, &status, 0) == early && WIFEXITED(status) && WEXITSTATUS(status) == 41;
    right = right && waitpid(late, &status, 0) == late && WIFEXITED(status) && WEXITSTATUS(status) == 42;
    return held && right && heard <= 3 && waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD;
  }));
}

TEST_CASE("P4: a signal to a process that has ended, or whose number is another's by now, hits nobody", "[no_tsan]") {
  // In a namespace of its own the next process number can be chosen, and no other program is in the way.
  shared_counters chosen(1);
  const auto signals_hit_nobody = [&] {
    const pid_t first = start_child(0);
    const auto handle = process::open(first);
    if (!handle.wait_ended(lenskit::detail::steady::now() + 5s)) return false;
    handle.signal(SIGKILL);  // not yet reaped
    if (handle.reap()->exit_code != 0) return false;
    handle.signal(SIGKILL);
    std::ofstream("/proc/sys/kernel/ns_last_pid") << first - 1 << std::flush;
    const pid_t stranger = fork();
    if (stranger == 0) {
      std::this_thread::sleep_for(300s);
      _exit(0);
    }
    chosen[0] = stranger == first;
    handle.signal(SIGKILL);
    std::this_thread::sleep_for(5ms);
    const bool lives = waitpid(stranger, nullptr, WNOHANG) == 0;
    kill(stranger, SIGKILL);
    if (lives) waitpid(stranger, nullptr, 0);
    return lives && !handle.reap()->exit_code;
  };
  shared_counters entered(1);
  const bool held = holds_in_child([&] {
    if (unshare(CLONE_NEWPID) != 0) return true;
    entered[0] = 1;
    return holds_in_child(signals_hit_nobody);  // the first process of the namespace
  });
  CHECK(held);
  if (entered[0] == 0) LENSKIT_SKIP("this user may not make process namespaces");
  CHECK(chosen[0] == 1);
}

TEST_CASE("P5: no worker that is replaced and no pool that ends leaves a zombie", "[no_tsan]") {
  const auto before = children_of(getpid());
  {
    invoker inv(
        0,
        [](int, int x) {
          if (x % 2 == 0) raise(SIGKILL);
          return getppid();
        },
        on(processes, 3));
    for (int round = 0; round < 20; ++round) {
      pid_t spawner = 0;
      for (const auto& each : inv.map_outcomes(std::views::iota(0, 4))) {
        if (each.has_value()) spawner = *each;
      }
      REQUIRE(spawner > 0);
      // What dies this moment may be one; what stays one is not reaped.
      const auto zombies = [spawner] {
        int count = 0;
        for (const auto& [pid, state] : children_of(spawner)) count += state == 'Z';
        for (const auto& [pid, state] : children_of(getpid())) count += state == 'Z';
        return count;
      };
      for (int look = 0; look < 200 && zombies() > 0; ++look) std::this_thread::sleep_for(1ms);
      CHECK(zombies() == 0);
    }
  }
  CHECK(children_of(getpid()) == before);
}

TEST_CASE("P3: a spawner's first process that another thread buries before it is watched is no failure", "[no_tsan]") {
  CHECK(holds_in_child([] {
    const pid_t self = ::getpid();
    bool first = true;
    // Where nobody else buries orphans, that process goes on, and there is nothing to bury.
    const call_faults thief([&](call which) {
      if (which != call::pidfd_open || ::getpid() != self || !std::exchange(first, false)) return 0;
      const auto until = std::chrono::steady_clock::now() + 2s;
      while (::waitpid(-1, nullptr, WNOHANG) == 0 && std::chrono::steady_clock::now() < until)
        std::this_thread::sleep_for(1ms);
      return 0;
    });
    return deaths_are_told_in_full();
  }));
}
#endif
