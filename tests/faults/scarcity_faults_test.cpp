// H3: few descriptors, processes or threads, and more workers asked for than there can be.
#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/in_child.hpp>

#include <sys/resource.h>

#include <grp.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <ranges>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#ifndef __SANITIZE_THREAD__

using lenskit::invoker;
using lenskit::tests::holds_in_child;
using lenskit::tests::on;
using namespace std::chrono_literals;
using clk = std::chrono::steady_clock;

namespace {

constexpr auto processes = lenskit::engine::processes;

int same(int, int x) { return x; }

void limit(__rlimit_resource what, rlim_t most) {
  const rlimit few{most, most};
  setrlimit(what, &few);
}

bool gives_right_results(int n_jobs, int tasks = 50) {
  invoker inv(0, same, on(processes, n_jobs));
  int index = 0;
  for (const int x : inv.map(std::views::iota(0, tasks))) {
    if (x != index++) return false;
  }
  return index == tasks;
}

// As a user who has no other processes, and may have so many.
bool become_somebody_with(rlim_t most_processes) {
  // Another each time: what has ended and nobody has buried yet counts for its user.
  constexpr uid_t nobodys_first = 64'321;
  constexpr uid_t users = 100'000;
  const uid_t nobodys = nobodys_first + static_cast<uid_t>(getpid()) % users;
  if (setgroups(0, nullptr) != 0 || setresgid(nobodys, nobodys, nobodys) != 0) return false;
  limit(RLIMIT_NPROC, most_processes);
  return setresuid(nobodys, nobodys, nobodys) == 0;
}

}  // namespace

TEST_CASE("H3: with few descriptors a pool has fewer workers, and works", "[no_tsan][no_asan]") {
  const rlim_t descriptors = GENERATE(24U, 30U, 40U, 64U, 100U);
  CHECK(holds_in_child([&] {
    close_range(3, ~0U, 0);
    limit(RLIMIT_NOFILE, descriptors);
    for (const int n_jobs : {1, 2, 4, 8, 16, 17, 40, 300}) {
      if (!gives_right_results(n_jobs)) return false;
    }
    return true;
  }));
}

TEST_CASE(
    "H3: without descriptors for one worker the error says what was to be made, how many there are and which limit",
    "[no_tsan][no_asan]") {
  const rlim_t descriptors = GENERATE(6U, 10U, 14U);
  CHECK(holds_in_child([&] {
    close_range(3, ~0U, 0);
    limit(RLIMIT_NOFILE, descriptors);
    try {
      gives_right_results(2);
      return false;
    } catch (const std::system_error& error) {
      const std::string text = error.what();
      return error.code().value() == EMFILE && text.find("cannot ") == 0 &&
             text.find(std::to_string(descriptors) + " descriptors (RLIMIT_NOFILE") != std::string::npos;
    }
  }));
}

TEST_CASE("H3: a worker that dies in a pool that misses workers is replaced at once", "[no_tsan][no_asan]") {
  CHECK(holds_in_child([] {
    close_range(3, ~0U, 0);
    limit(RLIMIT_NOFILE, 40);
    invoker inv(
        0,
        [](int, int x) {
          if (x % 10 == 3) raise(SIGKILL);
          return x;
        },
        on(processes, 20));
    const auto begun = clk::now();
    int right = 0;
    int index = 0;
    for (const auto& each : inv.map_outcomes(std::views::iota(0, 60))) {
      right += each ? *each == index : index % 10 == 3;
      ++index;
    }
    return right == 60 && clk::now() - begun < 5s;
  }));
}

TEST_CASE("H3: with few processes a pool has fewer workers, or the error says how many there may be",
          "[no_tsan][serial]") {
  if (geteuid() != 0) LENSKIT_SKIP("only root can become a user without processes");
  const rlim_t most = GENERATE(1U, 2U, 3U, 4U, 5U, 8U);
  constexpr rlim_t least = 3;  // this process, the spawner and a worker
  CHECK(holds_in_child([&] {
    if (!become_somebody_with(most)) return false;
    try {
      return gives_right_results(6, 200) && most >= least;
    } catch (const std::system_error& error) {
      const std::string text = error.what();
      const bool expected = most < least && text.find(std::to_string(most) + " processes") != std::string::npos;
      if (!expected) std::fprintf(stderr, "%u processes: %s\n", static_cast<unsigned>(most), text.c_str());
      return expected;
    }
  }));
}

TEST_CASE("H3: three thousand workers are refused, or work, in bounded time", "[no_tsan][no_asan]") {
  CHECK(holds_in_child([] {
    limit(RLIMIT_NOFILE, 200);
    const auto begun = clk::now();
    const bool right = gives_right_results(3000);
    return right && clk::now() - begun < 8s;
  }));
}

TEST_CASE("H3: with few threads the threads engine has fewer workers", "[serial]") {
  if (geteuid() != 0) LENSKIT_SKIP("only root can become a user without processes");
  CHECK(holds_in_child([] {
    if (!become_somebody_with(4)) return false;
    invoker inv(0, same, on(lenskit::engine::threads, 20));
    return inv.map(std::views::iota(0, 50)).collect().size() == 50;
  }));
}

#endif
