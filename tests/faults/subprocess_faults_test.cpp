// W9: run_sp always returns or throws, whatever its subprocess does.
#include <lenskit/run_sp.hpp>
#include <support/catch.hpp>

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

using lenskit::run_sp;
using lenskit::run_sp_options;
using lenskit::task_timeout;
using lenskit::worker_died;
using namespace std::chrono_literals;

#ifndef __SANITIZE_THREAD__
namespace {

// The way the subprocess died; fails if it did not.
template <class Fn>
worker_died death_of(Fn fn) {
  try {
    run_sp(std::move(fn));
  } catch (const worker_died& death) {
    return death;
  }
  throw std::logic_error("the subprocess did not die");
}

template <class Run>
auto time_of(Run run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::steady_clock::now() - start;
}

void close_everything() {
  const auto most = static_cast<int>(sysconf(_SC_OPEN_MAX) < 4096 ? sysconf(_SC_OPEN_MAX) : 4096);
  for (int fd = 3; fd < most; ++fd) close(fd);
}

}  // namespace

TEST_CASE("W9: run_sp says how the subprocess died", "[no_tsan]") {
  CHECK(death_of([] { _exit(0); }).exit_code() == 0);
  CHECK(death_of([] { _exit(3); }).exit_code() == 3);
  CHECK(death_of([] { std::exit(4); }).exit_code() == 4);
  CHECK(death_of([] { raise(SIGKILL); }).signal() == SIGKILL);
  CHECK(death_of([] { raise(SIGTERM); }).signal() == SIGTERM);
}

TEST_CASE("W9: run_sp returns when the subprocess dies while it sends its value", "[no_tsan]") {
  for (int time = 0; time < 5; ++time) {
    try {
      const auto value = run_sp([time] {
        std::thread([time] {
          std::this_thread::sleep_for(std::chrono::milliseconds(5 * time));
          raise(SIGKILL);
        }).detach();
        return std::string(std::size_t{32} << 20, 'x');
      });
      CHECK(value == std::string(std::size_t{32} << 20, 'x'));
    } catch (const worker_died& death) {
      CHECK(death.signal() == SIGKILL);
    }
  }
}

TEST_CASE("W9: run_sp returns when the subprocess closes every descriptor and lives on", "[no_tsan]") {
  CHECK(time_of([] {
          CHECK_THROWS_AS(run_sp([] {
                            close_everything();
                            std::this_thread::sleep_for(60s);
                          }),
                          worker_died);
        }) < 2s);
}

TEST_CASE("W9: run_sp returns when the subprocess stops or does not end and a timeout is set", "[no_tsan]") {
  const run_sp_options limited{.timeout = 100ms};
  CHECK(time_of([&] { CHECK_THROWS_AS(run_sp(limited, [] { raise(SIGSTOP); }), task_timeout); }) < 2100ms);
  CHECK(time_of([&] { CHECK_THROWS_AS(run_sp(limited, [] { std::this_thread::sleep_for(60s); }), task_timeout); }) <
        2100ms);
  CHECK(run_sp(limited, [] { return 3; }) == 3);
}

TEST_CASE("W9: run_sp returns when its spawner is killed", "[no_tsan]") {
  CHECK(time_of([] {
          CHECK_THROWS_AS(run_sp([] {
                            kill(getppid(), SIGKILL);
                            std::this_thread::sleep_for(60s);
                          }),
                          worker_died);
        }) < 3s);
}

#endif
