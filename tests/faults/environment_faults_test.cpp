// E1, E3 to E5: CPUs that may not be used, what many pools leave behind, idle workers, and a host that changes.
#include <lenskit/detail/os/cpu_count.hpp>
#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/invoker.hpp>
#include <lenskit/proc_count.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/file_tree.hpp>
#include <support/in_child.hpp>
#include <support/leaks.hpp>
#include <support/one_processor.hpp>
#include <support/resident_memory.hpp>
#include <support/variable.hpp>

#include <sys/stat.h>

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <clocale>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <ranges>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

using lenskit::invoker;
using lenskit::proc_count;
using lenskit::detail::count_cpus;
using lenskit::detail::cpu_count_sources;
using lenskit::tests::file_tree;
using lenskit::tests::holds_in_child;
using lenskit::tests::on;
using lenskit::tests::variable;
using namespace std::chrono_literals;

namespace {

// What the library would count on a machine of 16 CPUs with these control groups.
int cpus_with(const file_tree& tree, int affinity = 16) {
  cpu_count_sources sources;
  sources.root = tree.root();
  sources.hardware = 16;
  sources.affinity = affinity;
  sources.variables = [](const char*) -> std::optional<std::string> { return std::nullopt; };
  return count_cpus(sources).chosen;
}

}  // namespace

TEST_CASE("E1: affinity and the quotas of control groups of both versions limit the CPUs, and fractions round up") {
  file_tree tree;
  tree.write("proc/self/mountinfo", "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  tree.write("proc/self/cgroup", "0::/pod/job\n");
  tree.write("sys/fs/cgroup/pod/job/cpu.max", "max 100000\n");
  CHECK(cpus_with(tree) == 16);
  CHECK(cpus_with(tree, 3) == 3);
  tree.write("sys/fs/cgroup/pod/cpu.max", "250000 100000\n");
  CHECK(cpus_with(tree) == 3);
  CHECK(cpus_with(tree, 2) == 2);
  tree.write("sys/fs/cgroup/pod/job/cpu.max", "20000 100000\n");
  CHECK(cpus_with(tree) == 1);
  tree.write("sys/fs/cgroup/pod/job/cpu.max", "");
  CHECK(cpus_with(tree) == 3);

  file_tree older;
  older.write("proc/self/mountinfo", "32 24 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n");
  older.write("proc/self/cgroup", "4:cpu,cpuacct:/pod\n");
  older.write("sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_quota_us", "120000\n");
  older.write("sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_period_us", "100000\n");
  CHECK(cpus_with(older) == 2);
}

TEST_CASE("E1: a process that may use one CPU counts one, unless LK_NUM_PROCS says otherwise") {
  CHECK(holds_in_child([] {
    const lenskit::tests::one_processor narrow;
    if (lenskit::effective_cpu_count() != 1 || proc_count() != 1) return false;
    const variable chosen("LK_NUM_PROCS", "5,2");
    return proc_count() == 5 && proc_count({.level = 1}) == 2;
  }));
}

#ifndef __SANITIZE_THREAD__
namespace {

constexpr auto processes = lenskit::engine::processes;

void one_cycle() {
  const std::vector<int> model(1000, 2);
  invoker inv(
      model,
      [](const std::vector<int>& m, int x) {
        if (x == 3) raise(SIGKILL);
        return m[500] * x;
      },
      on(processes));
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 8))) {
    REQUIRE(each.has_value() == (index != 3));
    ++index;
  }
}

}  // namespace

TEST_CASE("E3: two hundred pools, each with a death, leave nothing and take no memory", "[no_tsan]") {
  constexpr int warming_up = 40;
  constexpr int cycles = 200;
  for (int cycle = 0; cycle < warming_up; ++cycle) one_cycle();
  const auto before = lenskit::tests::surroundings::now();
  const auto memory = lenskit::tests::resident_memory();
  const int descriptors = lenskit::detail::descriptors_owned();
  for (int cycle = 0; cycle < cycles; ++cycle) one_cycle();
  const auto grown = lenskit::tests::resident_memory();
  CHECK(lenskit::detail::descriptors_owned() == descriptors);
  CHECK(lenskit::tests::leaked(before, lenskit::tests::surroundings::now()).empty());
#ifndef __SANITIZE_ADDRESS__  // which keeps what was freed
  CHECK(grown < memory + (std::size_t{1} << 20));
#else
  CHECK(grown >= memory / 2);
#endif
}

TEST_CASE("E4: a worker that is killed while it is idle is replaced, and no task is lost", "[no_tsan]") {
  const int signal = GENERATE(SIGKILL, SIGTERM, SIGSEGV);
  const auto pause = GENERATE(0ms, 20ms);
  invoker inv(
      0,
      [](int, int x) {
        std::this_thread::sleep_for(100us);
        return std::pair(getpid(), x);
      },
      on(processes));
  for (int round = 0; round < 5; ++round) {
    int index = 0;
    std::set<pid_t> workers;  // each once: a number may soon be a stranger's
    for (const auto& [worker, x] : inv.map(std::views::iota(0, 40))) {
      REQUIRE(x == index++);
      workers.insert(worker);
    }
    REQUIRE(index == 40);
    for (const pid_t worker : workers) kill(worker, signal);
    std::this_thread::sleep_for(pause);
  }
  CHECK(inv.map(std::views::iota(0, 10)).collect().size() == 10);
}

TEST_CASE("E5: workers, replacements too, keep the directory, umask, environment and locale of their fork",
          "[no_tsan]") {
  struct state {
    std::string directory;
    mode_t mask = 0;
    std::string variable;
    std::string locale;
    bool operator==(const state&) const = default;
    static state now() {
      const mode_t mask = umask(0);
      umask(mask);
      const char* const value = std::getenv("LENSKIT_TESTS_SEEN");
      return {std::filesystem::current_path(), mask, value != nullptr ? value : "unset", setlocale(LC_ALL, nullptr)};
    }
  };
  CHECK(holds_in_child([] {
    file_tree tree;
    setenv("LENSKIT_TESTS_SEEN", "early", 1);
    umask(027);
    const auto early = state::now();
    invoker inv(
        0,
        [](int, int x) {
          if (x == 2) raise(SIGKILL);
          const auto seen = state::now();
          // What a task changes stays in its worker.
          umask(0777);
          setenv("LENSKIT_TESTS_SEEN", "by a task", 1);
          umask(seen.mask);
          setenv("LENSKIT_TESTS_SEEN", seen.variable.c_str(), 1);
          return std::tuple(seen.directory, seen.mask, seen.variable, seen.locale);
        },
        on(processes));
    setenv("LENSKIT_TESTS_SEEN", "late", 1);
    umask(077);
    std::filesystem::current_path(tree.root());
    setlocale(LC_ALL, "C.UTF-8");
    const auto late = state::now();
    int right = 0;
    for (const auto& each : inv.map_outcomes(std::views::iota(0, 20))) {
      if (!each) continue;
      const auto& [directory, mask, value, locale] = *each;
      right += state{directory, mask, value, locale} == early;
    }
    std::filesystem::current_path("/");
    return right == 19 && !(early == late) && std::getenv("LENSKIT_TESTS_SEEN") == std::string("late");
  }));
}

#endif
