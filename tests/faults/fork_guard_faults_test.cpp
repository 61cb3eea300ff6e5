// F4: what does not survive a fork, such as a GPU's driver, keeps invokers from forking.
#include <lenskit/fork_guard.hpp>
#include <lenskit/invoker.hpp>
#include <lenskit/run_sp.hpp>
#include <support/call_faults.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/message_of.hpp>
#include <support/shared_counters.hpp>

#include <signal.h>
#include <unistd.h>

#include <stdexcept>
#include <tuple>
#include <vector>

using lenskit::fork_guard;
using lenskit::fork_refused;
using lenskit::invoker;
using lenskit::tests::mentions;
using lenskit::tests::message_of;
using lenskit::tests::on;

namespace {

constexpr auto processes = lenskit::engine::processes;

std::vector<int> some_results(lenskit::engine engine) {
  invoker inv(
      3, [](int m, int x) { return m * x; }, on(engine));
  return inv.map(std::vector{1, 2}).collect();
}

}  // namespace

TEST_CASE("F4: a fork guard without a predicate is refused") {
  CHECK_THROWS_AS(fork_guard("nothing to ask", {}), std::invalid_argument);
}

TEST_CASE("F4: engines that fork nothing ask no fork guard") {
  const fork_guard guard("a driver is loaded", [] { return true; });
  const auto engine = GENERATE(lenskit::engine::in_process, lenskit::engine::threads);
  CHECK(some_results(engine) == std::vector{3, 6});
}

#ifndef __SANITIZE_THREAD__
TEST_CASE("F4: while a fork guard refuses, invokers and run_sp throw its reason and fork nothing", "[no_tsan]") {
  bool driver_loaded = false;
  int asked = 0;
  int forks = 0;
  const lenskit::tests::call_faults faults([&](lenskit::detail::sys::call which) {
    forks += which == lenskit::detail::sys::call::fork;
    return 0;
  });
  {
    const fork_guard harmless("never", [] { return false; });
    const fork_guard guard("CUDA is initialised", [&] {
      ++asked;
      return driver_loaded;
    });
    CHECK(some_results(processes) == std::vector{3, 6});
    CHECK(asked == 1);
    driver_loaded = true;
    forks = 0;
    const auto message = message_of<fork_refused>([] { std::ignore = some_results(processes); });
    CHECK(mentions(message, {"CUDA is initialised"}));
    CHECK_FALSE(mentions(message, {"never"}));
    CHECK_THROWS_AS(lenskit::run_sp([] {}), fork_refused);
    CHECK(forks == 0);
  }
  CHECK(some_results(processes) == std::vector{3, 6});
  CHECK(forks == 1);  // of the spawner, which has its own count of the others
}

TEST_CASE("F4: what a fork guard's predicate throws goes to who makes the invoker", "[no_tsan]") {
  const fork_guard guard("cannot tell", []() -> bool { throw std::domain_error("the driver does not answer"); });
  CHECK_THROWS_AS(some_results(processes), std::domain_error);
}

TEST_CASE("F4: a pool that is running goes on and replaces workers, as those are not forked from here", "[no_tsan]") {
  bool driver_loaded = false;
  const fork_guard guard("CUDA is initialised", [&] { return driver_loaded; });
  invoker inv(
      0,
      [](int, int x) {
        if (x == 1) raise(SIGKILL);
        return x;
      },
      on(processes, 1));
  driver_loaded = true;
  const auto outcomes = inv.map_outcomes(std::vector{0, 1, 2, 3}).collect();
  CHECK(outcomes[1].has_error());
  CHECK(outcomes[3].value() == 3);
}
#endif
