// Workers that are alive and do not get on.
#include <lenskit/detail/os/system.hpp>
#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/shared_counters.hpp>

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <ranges>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#ifndef __SANITIZE_THREAD__

using lenskit::invoker;
using lenskit::detail::sys::moment;
using lenskit::tests::on;
using lenskit::tests::shared_counters;
using namespace std::chrono_literals;
using clk = std::chrono::steady_clock;

namespace {

/// Does something to the first few workers that come by a moment.
class ambush final : public lenskit::detail::sys::interceptor {
 public:
  ambush(moment where, int how_many, void (*what)()) : where_(where), how_many_(how_many), what_(what) {
    lenskit::detail::sys::intercept(this);
  }
  ~ambush() override { lenskit::detail::sys::intercept(nullptr); }
  ambush(const ambush&) = delete;
  ambush& operator=(const ambush&) = delete;
  int fail(lenskit::detail::sys::call) noexcept override { return 0; }
  void reach(moment which) override {
    if (which == where_ && passed_[0]++ < how_many_) what_();
  }
  [[nodiscard]] int passed() const { return passed_[0]; }

 private:
  moment where_;
  int how_many_;
  void (*what_)();
  shared_counters passed_{1};
};

void freeze() {
  for (;;) ::pause();
}

}  // namespace

TEST_CASE("F1: workers that all freeze before they are ready are forked again from another process", "[no_tsan]") {
  const int workers = GENERATE(1, 2);
  const ambush ice(moment::ready, workers, freeze);
  auto options = on(lenskit::engine::processes, workers);
  options.task_timeout = 500ms;
  invoker inv(
      0, [](int, int x) { return 2 * x; }, options);
  const auto begun = clk::now();
  CHECK(inv.map(std::vector{1, 2, 3}).collect() == std::vector{2, 4, 6});
  CHECK(clk::now() - begun < 5s);
  // The first may have done it all before the last was started, which is then started for the next call.
  while (ice.passed() < 2 * workers && clk::now() - begun < 15s) REQUIRE(inv.map(std::vector{4}).collect().size() == 1);
  CHECK(ice.passed() == 2 * workers);
}

TEST_CASE("W1: a worker that dies while others are still being forked is replaced at once", "[no_tsan]") {
  const ambush trap(moment::forked, 1, [] { _exit(0); });
  const auto begun = clk::now();
  invoker inv(
      0, [](int, int x) { return 2 * x; }, on(lenskit::engine::processes, 4));
  for (int round = 0; round < 2; ++round) {
    CHECK(inv.map(std::vector{1, 2, 3, 4, 5, 6, 7, 8}).collect() == std::vector{2, 4, 6, 8, 10, 12, 14, 16});
  }
  CHECK(clk::now() - begun < 2s);
}

TEST_CASE("W7: workers that never become ready break the pool, which says so", "[no_tsan]") {
  const ambush ice(moment::ready, 1000, freeze);
  auto options = on(lenskit::engine::processes, 1);
  options.task_timeout = 500ms;
  invoker inv(
      0, [](int, int x) { return x; }, options);
  try {
    std::ignore = inv.map(std::vector{1}).collect();
    CHECK(false);
  } catch (const lenskit::broken_pool& broken) {
    CHECK(std::string(broken.what()).find("stalled outside of a task") != std::string::npos);
  }
}

TEST_CASE("P7: a worker that freezes with a chunk in hand gives it up to another", "[no_tsan]") {
  const ambush ice(moment::accepted, 1, freeze);
  shared_counters executed(20);
  auto options = on(lenskit::engine::processes);
  options.task_timeout = 500ms;
  invoker inv(
      0,
      [&](int, int x) {
        ++executed[static_cast<std::size_t>(x)];
        return x;
      },
      options);
  int next = 0;
  for (const int each : inv.map(std::views::iota(0, 20))) CHECK(each == next++);
  CHECK(next == 20);
  for (std::size_t task = 0; task < executed.size(); ++task) CHECK(executed[task] == 1);
}

TEST_CASE("P7: a worker that is stopped and not continued costs its task, without any time limit", "[no_tsan]") {
  invoker inv(
      0,
      [](int, int x) {
        if (x == 7) raise(SIGSTOP);
        return x;
      },
      on(lenskit::engine::processes));
  const auto begun = clk::now();
  int next = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 20))) {
    CHECK(each.has_value() == (next != 7));
    if (!each) {
      try {
        each.value();
      } catch (const lenskit::worker_died& death) {
        CHECK(death.stopped());
        CHECK_FALSE(death.probably_out_of_memory());
        CHECK(std::string(death.what()).find("it had been stopped") != std::string::npos);
      }
    }
    ++next;
  }
  CHECK(next == 20);
  CHECK(clk::now() - begun < 4s);
}

TEST_CASE("P7: a worker that is stopped for a moment only goes on as if nothing had been", "[no_tsan]") {
  invoker inv(
      0, [](int, int) { return std::this_thread::sleep_for(1ms), getpid(); }, on(lenskit::engine::processes));
  const auto workers = inv.map(std::views::iota(0, 20)).collect();
  const pid_t one = workers.front();
  REQUIRE(kill(one, SIGSTOP) == 0);
  std::thread mercy([&] {
    std::this_thread::sleep_for(300ms);
    kill(one, SIGCONT);
  });
  const auto after = inv.map(std::views::iota(0, 2000)).collect();
  mercy.join();
  std::this_thread::sleep_for(1200ms);
  CHECK(kill(one, 0) == 0);
  CHECK(inv.map(std::views::iota(0, 20)).collect().size() == 20);
}
#endif
