// P8: somebody sets the wall clock while tasks run.
#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/shared_counters.hpp>

#include <sys/syscall.h>

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <ranges>
#include <stop_token>
#include <thread>
#include <tuple>
#include <vector>

using lenskit::invoker;
using lenskit::task_timeout;
using lenskit::tests::on;
using lenskit::tests::shared_counters;
using namespace std::chrono_literals;

namespace {

// By how many seconds the wall clock is wrong, in this process and all that it forked; null: as it is.
shared_counters* wall_clock_error = nullptr;

}  // namespace

// In place of the C library's, for the whole program: the wall clock of all C++ code is this.
extern "C" int clock_gettime(clockid_t clock, timespec* now) noexcept {
  const auto result = static_cast<int>(syscall(SYS_clock_gettime, clock, now));
  if (result == 0 && clock == CLOCK_REALTIME && wall_clock_error != nullptr) now->tv_sec += (*wall_clock_error)[0];
  return result;
}

#ifndef __SANITIZE_THREAD__
namespace {

constexpr auto processes = lenskit::engine::processes;

class wrong_clock {
 public:
  wrong_clock() { wall_clock_error = &error_; }
  ~wrong_clock() { wall_clock_error = nullptr; }
  wrong_clock(const wrong_clock&) = delete;
  wrong_clock& operator=(const wrong_clock&) = delete;
  void set(int seconds) { error_[0] = seconds; }

 private:
  shared_counters error_{1};
};

}  // namespace

TEST_CASE("P8: a wall clock that jumps makes no task late and none endless", "[no_tsan]") {
  const int jump = GENERATE(3600, -3600);
  INFO("by " << jump << " s");
  wrong_clock clock;
  const auto honest = std::chrono::system_clock::now();
  auto options = on(processes);
  options.task_timeout = 200ms;
  invoker inv(
      0,
      [&](int, int x) {
        if (x == 5) clock.set(jump);
        if (x == 10) clock.set(-jump);
        std::this_thread::sleep_for(x == 12 ? 60s : 5ms);
        return x;
      },
      options);
  const auto start = std::chrono::steady_clock::now();
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 20))) {
    INFO("index " << index);
    REQUIRE(each.has_value() == (index != 12));
    if (each.has_error()) CHECK_THROWS_AS(each.value(), task_timeout);
    ++index;
  }
  CHECK(index == 20);
  CHECK(std::chrono::steady_clock::now() - start < 2200ms);
  CHECK(std::chrono::abs(std::chrono::system_clock::now() - honest) > 50min);  // the clock did jump
}

TEST_CASE("P8: a pool stops and ends as soon as ever while the wall clock jumps", "[no_tsan]") {
  const int jump = GENERATE(3600, -3600);
  INFO("by " << jump << " s");
  wrong_clock clock;
  std::stop_source stop;
  auto options = on(processes);
  options.stop_token = stop.get_token();
  shared_counters started(1);
  std::chrono::steady_clock::time_point requested;
  {
    invoker inv(
        0,
        [&](int, int) {
          signal(SIGTERM, SIG_IGN);  // so that its end takes the grace that it is given
          ++started[0];
          std::this_thread::sleep_for(60s);
        },
        options);
    std::thread stopper([&] {
      while (started[0] < 2) std::this_thread::sleep_for(1ms);
      clock.set(jump);
      requested = std::chrono::steady_clock::now();
      stop.request_stop();
    });
    CHECK_THROWS_AS(inv.map(std::views::iota(0, 4)).collect(), lenskit::task_cancelled);
    stopper.join();
    clock.set(-jump);
  }
  CHECK(std::chrono::steady_clock::now() - requested < 2500ms);
}

#endif
