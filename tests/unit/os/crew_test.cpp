#include <lenskit/detail/os/crew.hpp>

#include <support/catch.hpp>

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

using lenskit::detail::run_crew;
using lenskit::detail::usable_processors;

TEST_CASE("a crew does every job once") {
  std::vector<std::atomic<int>> done(1000);
  run_crew(done.size(), 4, [&](std::size_t i) { ++done[i]; });
  bool once = true;
  for (const auto& each : done) once = once && each == 1;
  CHECK(once);
}

TEST_CASE("a crew of none or one is the caller") {
  std::set<std::thread::id> seen;
  run_crew(3, GENERATE(0U, 1U), [&](std::size_t) { seen.insert(std::this_thread::get_id()); });
  CHECK(seen == std::set{std::this_thread::get_id()});
  run_crew(0, 4, [](std::size_t) { FAIL("there is nothing to do"); });
  CHECK(usable_processors() >= 1);
}

TEST_CASE("a crew begins nothing more after a failure, and passes it on") {
  std::atomic<int> begun{0};
  const auto work = [&] {
    run_crew(100'000, 2, [&](std::size_t i) {
      ++begun;
      if (i == 10) throw std::out_of_range("job 10");
      // Or the other thread could do them all while this one waits for a processor.
      std::this_thread::sleep_for(std::chrono::microseconds(10));
    });
  };
  CHECK_THROWS_AS(work(), std::out_of_range);
  CHECK(begun < 100'000);
}

TEST_CASE("helpers of a crew take no signals, and the caller's mask stays as it was") {
  const auto caller = std::this_thread::get_id();
  std::atomic<bool> blocked{true};
  run_crew(64, 4, [&](std::size_t) {
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    if (std::this_thread::get_id() != caller && ::sigismember(&mask, SIGINT) == 0) blocked = false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  CHECK(blocked);
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  CHECK(::sigismember(&mask, SIGINT) == 0);
}
