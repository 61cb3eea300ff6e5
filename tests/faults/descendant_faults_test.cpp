// F6 to F9: pools within workers, what workers leave behind, and what must happen once though many processes end.
#include <lenskit/invoker.hpp>
#include <lenskit/run_sp.hpp>
#include <lenskit/worker.hpp>
#include <support/catch.hpp>
#include <support/ends_within.hpp>
#include <support/engines.hpp>
#include <support/file_tree.hpp>
#include <support/shared_counters.hpp>

#include <sys/wait.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <ranges>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

using lenskit::invoker;
using lenskit::worker_died;
using lenskit::tests::ends_within;
using lenskit::tests::on;
using lenskit::tests::shared_counters;
using namespace std::chrono_literals;

namespace {

shared_counters* profiles_written = nullptr;

}  // namespace

// What instrumentation by clang would bring into the program, and the library calls where it is there (F9).
extern "C" int __llvm_profile_write_file() {
  if (profiles_written != nullptr) ++(*profiles_written)[0];
  return 0;
}

#ifndef __SANITIZE_THREAD__
namespace {

constexpr auto processes = lenskit::engine::processes;
constexpr int width = 4;       // tasks of each pool
constexpr int fatal_task = 2;  // of each pool
constexpr int lost = 1000;     // what stands for a task that died

// A sum over inner maps, `depth` deep, in each of which one worker dies at its own level.
int nested_sum(int depth) {
  invoker inner(
      depth,
      [](int level, int x) {
        if (x == fatal_task) raise(SIGKILL);
        return level == 0 ? x : nested_sum(level - 1);
      },
      on(processes));
  int sum = 0;
  for (const auto& each : inner.map_outcomes(std::views::iota(0, width))) sum += each ? *each : lost;
  return sum;
}

int expected_sum(int depth) {
  int sum = lost;
  for (int x = 0; x < width; ++x) {
    if (x != fatal_task) sum += depth == 0 ? x : expected_sum(depth - 1);
  }
  return sum;
}

// A descendant that would stay, in the same process group.
pid_t leave_grandchild() {
  const pid_t child = fork();
  if (child == 0) {
    std::this_thread::sleep_for(300s);
    _exit(0);
  }
  return child;
}

std::string contents(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

void append(const std::string& file, const char* text) {
  const int fd = open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  std::ignore = write(fd, text, std::char_traits<char>::length(text));
  close(fd);
}

}  // namespace

TEST_CASE("F6: pools nest three deep, with a crash in each of them", "[no_tsan]") {
  CHECK(nested_sum(2) == expected_sum(2));
}

TEST_CASE("F6: in a worker the default is to run in process, and an inherited invoker is closed", "[no_tsan]") {
  using pointer = invoker<int, int (*)(const int&, int)>;
  const auto negate = [](const int&, int x) { return -x; };
  pointer of_parent(0, negate, on(processes));
  invoker inv(
      0,
      [&](int, int x) {
        bool closed = false;
        try {
          std::ignore = of_parent.map(std::vector{x});
        } catch (const lenskit::invoker_closed&) {
          closed = true;
        }
        return closed && invoker(0, +negate).engine() == lenskit::engine::in_process;
      },
      on(processes));
  CHECK(inv.map(std::vector{1, 2, 3}).collect() == std::vector{true, true, true});
  CHECK(of_parent.map(std::vector{4}).collect() == std::vector{-4});
}

TEST_CASE("F7: what a worker forked ends with it, when it dies", "[no_tsan]") {
  shared_counters grandchild(1);
  const auto start = std::chrono::steady_clock::now();
  invoker inv(
      0,
      [&](int, int x) {
        if (x == 3) {
          grandchild[0] = leave_grandchild();
          raise(SIGKILL);
        }
        return x;
      },
      on(processes));
  int failed = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 10))) failed += each.has_error();
  CHECK(failed == 1);
  CHECK(std::chrono::steady_clock::now() - start < 2s);
  REQUIRE(grandchild[0] > 0);
  CHECK(ends_within(grandchild[0], 1s));
}

TEST_CASE("F7: what a worker forked ends with the pool", "[no_tsan]") {
  invoker inv(
      0, [](int, int) { return leave_grandchild(); }, on(processes));
  const auto grandchildren = inv.map(std::vector{1, 2, 3}).collect();
  for (const pid_t each : grandchildren) CHECK(kill(each, 0) == 0);
  const auto start = std::chrono::steady_clock::now();
  inv.shutdown();
  CHECK(std::chrono::steady_clock::now() - start < 2500ms);
  for (const pid_t each : grandchildren) CHECK(ends_within(each, 1s));
}

TEST_CASE("F7: run_sp returns when a grandchild would outlive the subprocess, and ends it", "[no_tsan]") {
  const auto start = std::chrono::steady_clock::now();
  const pid_t grandchild = lenskit::run_sp([] { return leave_grandchild(); });
  CHECK(std::chrono::steady_clock::now() - start < 2500ms);
  CHECK(ends_within(grandchild, 1s));
}

TEST_CASE("F8: buffered output, exit handlers and static destructors of the program run once", "[no_tsan]") {
  lenskit::tests::file_tree tree;
  static std::string written, ended, destroyed;
  written = tree.root() / "stdout";
  ended = tree.root() / "exit";
  destroyed = tree.root() / "static";
  struct appends_when_destroyed {
    ~appends_when_destroyed() { append(destroyed, "destroyed\n"); }
  };
  std::fflush(nullptr);
  const pid_t program = fork();
  REQUIRE(program >= 0);
  if (program == 0) {
    for (const int number : {SIGABRT, SIGSEGV, SIGTERM}) signal(number, SIG_DFL);
    if (std::freopen(written.c_str(), "w", stdout) == nullptr) _exit(1);
    std::printf("still in the buffer\n");
    static const appends_when_destroyed global;
    std::atexit([] { append(ended, "ended\n"); });
    {
      invoker inv(
          0,
          [](int, int x) {
            std::printf("task %d\n", x);
            if (x == 2) std::exit(0);
            if (x == 4) std::quick_exit(0);
            if (x == 6) raise(SIGKILL);
          },
          on(processes));
      std::ignore = inv.map_outcomes(std::views::iota(0, 10)).collect();
      lenskit::run_sp([] {});
    }
    std::fflush(stdout);
    std::exit(0);
  }
  int status = -1;
  REQUIRE(waitpid(program, &status, 0) == program);
  CHECK(WIFEXITED(status));
  CHECK(contents(ended) == "ended\n");
  CHECK(contents(destroyed) == "destroyed\n");
  const auto output = contents(written);
  std::size_t times = 0;
  for (auto at = output.find("still"); at != std::string::npos; at = output.find("still", at + 1)) ++times;
  CHECK(times == 1);
  for (const int task : {0, 1, 3, 5, 7, 8, 9}) CHECK(output.find("task " + std::to_string(task)) != std::string::npos);
}

TEST_CASE("F9: each process of a pool that ends by itself writes its coverage first", "[no_tsan]") {
  shared_counters written(1);
  profiles_written = &written;
  constexpr int n_jobs = 3;
  {
    invoker inv(
        0, [](int, int x) { return x; }, on(processes, n_jobs));
    CHECK(inv.map(std::vector{1, 2}).collect() == std::vector{1, 2});
    std::this_thread::sleep_for(
        50ms);  // a worker that has just sent its last result still counts as busy, and is ended
  }
  CHECK(written[0] == n_jobs + 1);  // the spawner too
  {
    invoker inv(
        0, [](int, int) { std::exit(0); }, on(processes, n_jobs));
    CHECK_THROWS_AS(inv.map(std::vector{1}).collect(), worker_died);
    std::this_thread::sleep_for(50ms);
  }
  CHECK(written[0] >= 2 * (n_jobs + 1));  // its replacement may have come too late to count
  profiles_written = nullptr;
}

#endif
