// W7: workers keep dying, or cannot be replaced.
#include <lenskit/invoker.hpp>
#include <support/call_faults.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/message_of.hpp>
#include <support/shared_counters.hpp>

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <ranges>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

using lenskit::broken_pool;
using lenskit::invoker;
using lenskit::worker_died;
using lenskit::tests::mentions;
using lenskit::tests::on;
using lenskit::tests::shared_counters;
using namespace std::chrono_literals;

#ifndef __SANITIZE_THREAD__
namespace {

constexpr auto processes = lenskit::engine::processes;

// Lets the forks of this process and its spawners succeed or fail.
class forks_on_demand {
 public:
  forks_on_demand() { allow(true); }
  void allow(bool allowed) const { allowed_[0] = allowed ? 1 : 0; }

 private:
  shared_counters allowed_{1};
  lenskit::tests::call_faults faults_{[this](lenskit::detail::sys::call which) {
    return which == lenskit::detail::sys::call::fork && allowed_[0] == 0 ? EAGAIN : 0;
  }};
};

}  // namespace

TEST_CASE("W7: a pool whose workers all die gives up and says why", "[no_tsan]") {
  const auto start = std::chrono::steady_clock::now();
  const int n_jobs = GENERATE(1, 2, 4);
  invoker inv(
      0, [](int, int) { _exit(9); }, on(processes, n_jobs));
  std::string why;
  std::size_t causes = 0;
  int died = 0;
  auto results = inv.map(std::views::iota(0));
  while (why.empty()) {
    try {
      std::ignore = results.collect();
      why = "ended";
    } catch (const worker_died&) {
      ++died;
      REQUIRE(died < 100);
    } catch (const broken_pool& broken) {
      why = broken.what();
      causes = broken.causes().size();
      CHECK(broken.causes().front().find("exit code 9") != std::string::npos);
    }
  }
  CHECK(why != "ended");
  CHECK(causes > 0);
  CHECK(died <= 3 * n_jobs);
  CHECK_THROWS_AS(inv.map(std::vector{1}).collect(), broken_pool);
  CHECK(std::chrono::steady_clock::now() - start < 5s);
}

TEST_CASE("W7: deaths with successes in between break no pool, even if those were not yet sent", "[no_tsan]") {
  constexpr int count = 200;
  auto options = on(processes, GENERATE(1, 2));
  options.chunk_size = GENERATE(0U, 1U, 7U, 100U);
  invoker inv(
      0,
      [](int, int x) {
        if (x % 7 == 3) raise(SIGKILL);
        return x;
      },
      options);
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, count))) {
    INFO("index " << index);
    REQUIRE(each.has_value() == (index % 7 != 3));
    if (each.has_error()) REQUIRE_THROWS_AS(each.value(), worker_died);
    ++index;
  }
  CHECK(index == count);
}

TEST_CASE("W7: a spawner that is killed between deaths is no proof that tasks kill", "[no_tsan]") {
  auto options = on(processes, 1);
  options.chunk_size = GENERATE(1U, 10U);
  invoker inv(
      0,
      [](int, int x) {
        if (x == 1 || x == 3) _exit(9);
        if (x == 2) kill(getppid(), SIGKILL);
        if (x == 2) pause();
        return x;
      },
      options);
  const auto outcomes = inv.map_outcomes(std::views::iota(0, 8)).collect();
  for (std::size_t index = 0; index < outcomes.size(); ++index) {
    INFO("index " << index);
    CHECK(outcomes[index].has_value() == (index == 0 || index > 3));
    if (index >= 1 && index <= 3) CHECK_THROWS_AS(outcomes[index].value(), worker_died);
  }
}

TEST_CASE("W7: a pool whose tasks all kill the spawner gives up and says why", "[no_tsan]") {
  const int n_jobs = GENERATE(1, 3);
  invoker inv(
      0,
      [](int, int) {
        kill(getppid(), SIGKILL);
        pause();
      },
      on(processes, n_jobs));
  auto results = inv.map(std::views::iota(0));
  try {
    for (int died = 0; died < 100;) {
      try {
        std::ignore = results.collect();
      } catch (const worker_died&) {
        ++died;
      }
    }
    CHECK(false);
  } catch (const broken_pool& broken) {
    CHECK(mentions(broken.what(), {"the spawner of the workers was lost 3 times in a row"}));
    REQUIRE(!broken.causes().empty());
    CHECK(broken.causes().front().find("lost with the spawner") != std::string::npos);
  }
}

TEST_CASE("W7: a pool that cannot fork replacements goes on with the workers it has", "[no_tsan]") {
  const forks_on_demand forks;
  invoker inv(
      0,
      [](int, int x) {
        if (x == 3) raise(SIGKILL);
        std::this_thread::sleep_for(2ms);
        return x;
      },
      on(processes));
  CHECK(inv.map(std::vector{0, 1}).collect() == std::vector{0, 1});
  forks.allow(false);
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 400))) {
    REQUIRE(each.has_value() == (index != 3));
    if (each.has_value()) REQUIRE(*each == index);
    ++index;
  }
  CHECK(index == 400);
}

TEST_CASE("W7: a pool that has no workers left and cannot fork any gives up and says why", "[no_tsan]") {
  const forks_on_demand forks;
  invoker inv(
      0,
      [](int, int x) {
        if (x != 0) raise(SIGKILL);
        return x;
      },
      on(processes));
  CHECK(inv.map(std::vector{0}).collect() == std::vector{0});
  forks.allow(false);
  const auto start = std::chrono::steady_clock::now();
  auto results = inv.map(std::views::iota(1));
  int deaths = 0;
  std::string why;
  while (why.empty()) {
    try {
      std::ignore = results.collect();
      why = "ended";
    } catch (const worker_died&) {
      REQUIRE(++deaths <= 2);  // there were two workers
    } catch (const broken_pool& broken) {
      why = broken.what();
    }
  }
  CHECK(mentions(why, {"cannot replace a worker: Resource temporarily unavailable"}));
  CHECK(deaths == 2);
  CHECK(std::chrono::steady_clock::now() - start < 8s);
}

TEST_CASE("W7: a pool outlives a time in which nothing can be forked", "[no_tsan]") {
  const forks_on_demand forks;
  invoker inv(
      0,
      [](int, int x) {
        if (x < 0) raise(SIGKILL);
        return x;
      },
      on(processes));
  CHECK(inv.map(std::vector{0}).collect() == std::vector{0});
  forks.allow(false);
  std::ignore = inv.map_outcomes(std::vector{-1, -2}).collect();
  std::thread later([&] {
    std::this_thread::sleep_for(200ms);
    forks.allow(true);
  });
  CHECK(inv.map(std::vector{1, 2}).collect() == std::vector{1, 2});
  later.join();
}

#endif
