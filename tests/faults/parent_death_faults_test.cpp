// P1 and P2: the parent dies, or the thread that made the pool.
#include <lenskit/invoker.hpp>
#include <lenskit/run_sp.hpp>
#include <support/catch.hpp>
#include <support/disposable_parent.hpp>
#include <support/engines.hpp>
#include <support/shared_counters.hpp>

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <random>
#include <ranges>
#include <set>
#include <thread>
#include <tuple>
#include <vector>

using lenskit::invoker;
using lenskit::tests::disposable_parent;
using lenskit::tests::on;
using lenskit::tests::shared_counters;
using namespace std::chrono_literals;

#ifndef __SANITIZE_THREAD__
namespace {

constexpr auto processes = lenskit::engine::processes;
constexpr auto orphans_go_within = 1s;

template <class Condition>
bool comes_true(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

void occupy() {
  for (volatile bool forever = true; forever;) {}
}

void leave_grandchild() {
  if (fork() == 0) {
    std::this_thread::sleep_for(300s);
    _exit(0);
  }
}

struct condition_of_workers {
  const char* name;
  void (*enter)();
};

}  // namespace

TEST_CASE("P1: when the parent is killed its workers go within a second, whatever they do", "[no_tsan]") {
  static const std::vector<condition_of_workers> conditions{
      {"busy", [] { occupy(); }},
      {"asleep", [] { std::this_thread::sleep_for(300s); }},
      {"stopped", [] { raise(SIGSTOP); }},
      {"deaf",
       [] {
         sigset_t all;
         sigfillset(&all);
         sigprocmask(SIG_SETMASK, &all, nullptr);
         occupy();
       }},
      {"with a grandchild",
       [] {
         leave_grandchild();
         occupy();
       }},
  };
  const auto& condition = conditions[GENERATE(range(std::size_t{0}, std::size_t{5}))];
  INFO(condition.name);
  constexpr int n_jobs = 2;
  shared_counters entered(1);
  disposable_parent parent([&] {
    invoker inv(
        0,
        [&](int, int) {
          ++entered[0];
          condition.enter();
        },
        on(processes, n_jobs));
    std::ignore = inv.map(std::views::iota(0, n_jobs)).collect();
  });
  REQUIRE(comes_true([&] { return entered[0] == n_jobs; }));
  std::this_thread::sleep_for(10ms);
  parent.send(SIGKILL);
  parent.wait();
  CHECK(parent.leaves_nothing(orphans_go_within));
}

TEST_CASE("P1: when the parent is killed its idle workers and its subprocess go within a second", "[no_tsan]") {
  shared_counters reached(1);
  disposable_parent parent([&] {
    invoker inv(
        0, [](int, int x) { return x; }, on(processes, 3));
    std::ignore = inv.map(std::views::iota(0, 100)).collect();
    ++reached[0];
    lenskit::run_sp([&] {
      ++reached[0];
      std::this_thread::sleep_for(300s);
    });
  });
  REQUIRE(comes_true([&] { return reached[0] == 2; }));
  CHECK(parent.count_descendants() == 1 + 4 + 2);
  parent.send(SIGKILL);
  parent.wait();
  CHECK(parent.leaves_nothing(orphans_go_within));
}

TEST_CASE("P1: when the parent is killed while its spawner is stopped, its workers go", "[no_tsan]") {
  shared_counters spawner(1);
  disposable_parent parent([&] {
    invoker inv(
        0,
        [&](int, int) {
          spawner[0] = getppid();
          occupy();
        },
        on(processes, 1));
    std::ignore = inv.map(std::vector{1}).collect();
  });
  REQUIRE(comes_true([&] { return spawner[0] != 0; }));
  REQUIRE(kill(spawner[0], SIGSTOP) == 0);
  std::this_thread::sleep_for(20ms);
  parent.send(SIGKILL);
  parent.wait();
  CHECK(parent.leaves_nothing(orphans_go_within));
}

TEST_CASE("P1: at whatever moment the parent is killed, nothing of it is left a second later", "[no_tsan]") {
  std::mt19937 chance(20'261'121);
  for (int run = 0; run < 60; ++run) {
    const auto life = std::chrono::microseconds(chance() % 12'000);
    disposable_parent parent([] {
      for (int round = 0;; ++round) {
        invoker inv(
            round,
            [](int, int x) {
              if (x == 17) raise(SIGKILL);
              return x;
            },
            on(processes, 2));
        std::ignore = inv.map_outcomes(std::views::iota(0, 40)).collect();
      }
    });
    std::this_thread::sleep_for(life);
    parent.send(SIGKILL);
    parent.wait();
    INFO("run " << run << ", killed after " << life.count() << " us");
    REQUIRE(parent.leaves_nothing(orphans_go_within));
  }
}

TEST_CASE("P2: a pool outlives the thread that made it", "[no_tsan]") {
  using pool = invoker<int, int (*)(const int&, int)>;
  std::optional<pool> inv;
  std::thread([&] {
    inv.emplace(
        3, [](const int& m, int x) { return m * x; }, on(processes));
  }).join();
  std::this_thread::sleep_for(50ms);
  const auto pids = [] {
    return invoker(
        0, [](int, int) { return getpid(); }, on(processes));
  };
  CHECK(inv->map(std::vector{1, 2, 3}).collect() == std::vector{3, 6, 9});
  // Replacements too, asked for by a thread that then ends.
  std::optional<decltype(pids())> other(pids());
  const auto pids_of_tasks = other->map(std::vector<int>(20)).collect();
  const std::set<pid_t> first(pids_of_tasks.begin(), pids_of_tasks.end());
  std::thread([&] {
    for (const pid_t each : first) kill(each, SIGKILL);
    CHECK(other->map(std::vector<int>(20)).collect().size() == 20);
  }).join();
  std::this_thread::sleep_for(50ms);
  CHECK(other->map(std::vector<int>(20)).collect().size() == 20);
  // And a map may go on while the thread that began it is gone.
  auto results = inv->map(std::views::iota(0, 1000));
  std::thread([&] { CHECK(*results.begin() == 0); }).join();
  int next = 0;
  for (const int result : results) REQUIRE(result == 3 * next++);
  CHECK(next == 1000);
}

#endif
