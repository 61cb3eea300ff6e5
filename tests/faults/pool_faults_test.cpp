// Faults of workers, spawners and of the program itself that cost no more than they must (W6, W7, F6 to F8, P3, L1).
#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/ends_within.hpp>
#include <support/in_child.hpp>
#include <support/one_processor.hpp>
#include <support/reporting_child.hpp>
#include <support/shared_counters.hpp>
#include <support/syscall_faults.hpp>

#include <sys/prctl.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <vector>

#ifndef __SANITIZE_THREAD__

using lenskit::invoker;
using lenskit::invoker_options;
using lenskit::worker_died;
using lenskit::tests::shared_counters;
using namespace std::chrono_literals;

namespace {

invoker_options processes(int n_jobs, std::size_t chunk_size = 0) {
  return {.n_jobs = n_jobs, .engine = lenskit::engine::processes, .chunk_size = chunk_size};
}

/// Does something in the spawner each time it has forked a worker and not yet told of it.
class spawner_habit final : public lenskit::detail::sys::interceptor {
 public:
  /// What to do, with the number of workers so far.
  explicit spawner_habit(std::function<void(int)> what) : what_(std::move(what)) {
    lenskit::detail::sys::intercept(this);
  }
  ~spawner_habit() override { lenskit::detail::sys::intercept(nullptr); }
  spawner_habit(const spawner_habit&) = delete;
  spawner_habit& operator=(const spawner_habit&) = delete;
  int fail(lenskit::detail::sys::call which) noexcept override {
    using lenskit::detail::sys::call;
    std::array<char, 16> name{};  // its parent is whoever adopts orphans
    prctl(PR_GET_NAME, name.data());
    if (std::string(name.data()) != "lenskit-spawner") return 0;
    if (which == call::fork) ++workers_;
    if (which == call::pidfd_open && workers_ > 0) what_(workers_);
    return 0;
  }

 private:
  const pid_t program_ = getpid();
  const std::function<void(int)> what_;
  int workers_ = 0;
};

/// Counts the workers that end by themselves, where coverage and sanitizers get their say.
class leaving_workers final : public lenskit::detail::sys::interceptor {
 public:
  leaving_workers() { lenskit::detail::sys::intercept(this); }
  ~leaving_workers() override { lenskit::detail::sys::intercept(nullptr); }
  leaving_workers(const leaving_workers&) = delete;
  leaving_workers& operator=(const leaving_workers&) = delete;
  int fail(lenskit::detail::sys::call) noexcept override { return 0; }
  void reach(lenskit::detail::sys::moment which) override {
    char name[16] = {};  // the spawner ends as well
    ::prctl(PR_GET_NAME, name);
    if (which == lenskit::detail::sys::moment::leaving && std::string_view(name) == "lenskit-worker") ++count_[0];
  }
  [[nodiscard]] int count() const { return count_[0]; }

 private:
  shared_counters count_{1};
};

}  // namespace

TEST_CASE("a worker whose results have all arrived ends by itself with its pool", "[no_tsan]") {
  const leaving_workers left;
  const lenskit::tests::one_processor
      narrow;  // where the parent goes on as soon as the result is there, and the worker does not
  const auto bytes = GENERATE(std::size_t{1}, std::size_t{512} << 10);  // what the journal holds, and what it does not
  constexpr int pools = 300;
  for (int i = 0; i < pools; ++i) {
    invoker inv(
        0, [](int, std::size_t size) { return std::string(size, 'x'); }, processes(1));
    REQUIRE(inv.map(std::vector{bytes}).collect().front().size() == bytes);
  }
  CHECK(left.count() == pools);
}

TEST_CASE("a pool does not give up while tasks succeed in between, even if their results are on the way", "[no_tsan]") {
  invoker inv(
      0,
      [](int, int x) {
        if (x % 2 == 1) _exit(9);
        return x;
      },
      processes(1, 50));
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 50))) {
    INFO("index " << index);
    REQUIRE(each.has_value() == (index % 2 == 0));
    if (each.has_error()) CHECK_THROWS_AS(each.value(), worker_died);
    ++index;
  }
  CHECK(index == 50);
}

TEST_CASE("what a worker logs comes before its results, even if the spawner is slow to tell of it", "[no_tsan]") {
  const lenskit::tests::fresh_loggers loggers;
  const spawner_habit slow([](int) { std::this_thread::sleep_for(20ms); });
  invoker inv(
      0,
      [](int, int x) {
        if (x == 0) raise(SIGKILL);
        spdlog::info("task {}", x);
        if (x == 2) throw std::runtime_error("to learn the pid");
        return x;
      },
      processes(1, 1));
  std::size_t index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 8))) {
    CHECK(loggers.sink->texts().size() >= index);
    CHECK(each.has_value() == (index != 0 && index != 2));
    if (index == 2) {
      try {
        each.value();
      } catch (const std::runtime_error& error) {
        CHECK(dynamic_cast<const lenskit::task_error&>(error).worker_pid() > 0);
      }
    }
    ++index;
  }
  CHECK(index == 8);
}

TEST_CASE("W6: a task is not given out again while a worker whose spawner died may still run it", "[no_tsan]") {
  enum task { die, take_time, go_on };
  const shared_counters runs(3);
  // The worker is the spawner's second, and the pool never hears of it.
  const spawner_habit dies_early([&](int workers) {
    while (workers == 2 && runs[take_time] == 0) std::this_thread::sleep_for(1ms);
    if (workers == 2) raise(SIGKILL);
  });
  invoker inv(
      0,
      [&](int, task what) {
        static bool orphaned = false;
        ++runs[what];
        if (what == take_time) {
          prctl(PR_SET_PDEATHSIG, 0);  // which a change of its user would do as well
          orphaned = true;
          std::this_thread::sleep_for(200ms);
        }
        if (what == die || (what == go_on && orphaned)) raise(SIGKILL);
        return 0;
      },
      processes(1, 1));
  std::vector<bool> answered;
  for (const auto& each : inv.map_outcomes(std::vector{die, take_time, go_on})) answered.push_back(each.has_value());
  CHECK(answered == std::vector{false, true, false});
  CHECK(runs[take_time] == 1);
  CHECK(runs[go_on] == 1);
}

TEST_CASE("P7: a spawner that stops before it tells of a worker costs a second, not more", "[no_tsan]") {
  const spawner_habit stops([](int workers) {
    if (workers == 2) raise(SIGSTOP);
  });
  auto options = processes(1, 1);
  options.task_timeout = 1s;
  invoker inv(
      0,
      [](int, int x) {
        if (x == 0) raise(SIGKILL);
        return x;
      },
      options);
  const auto start = std::chrono::steady_clock::now();
  std::vector<bool> answered;
  for (const auto& each : inv.map_outcomes(std::vector{0, 1})) answered.push_back(each.has_value());
  CHECK(answered == std::vector{false, true});
  CHECK(std::chrono::steady_clock::now() - start < 4s);
}

TEST_CASE("a program that has its children reaped by the kernel learns how workers died", "[no_tsan]") {
  struct sigaction automatic {};
  struct sigaction before {};
  automatic.sa_handler = SIG_DFL;
  automatic.sa_flags = SA_NOCLDWAIT;
  sigaction(SIGCHLD, &automatic, &before);
  try {
    invoker inv(
        0, [](int, int) { raise(SIGKILL); }, processes(2));
    std::ignore = inv.map(std::vector{1}).collect();
    CHECK(false);
  } catch (const worker_died& death) {
    CHECK(death.signal() == SIGKILL);
  }
  sigaction(SIGCHLD, &before, nullptr);
}

TEST_CASE("a child that a task forks and that returns too is not taken for the worker", "[no_tsan]") {
  const bool throws = GENERATE(false, true);
  shared_counters executed(20);
  invoker inv(
      0,
      [&](int, int x) {
        ++executed[static_cast<std::size_t>(x)];
        if (x == 7) {
          const pid_t child = fork();
          if (child == 0 && throws) throw std::runtime_error("in the child");
          if (child == 0) return -1;
          waitpid(child, nullptr, 0);
        }
        return 3 * x;
      },
      processes(1, 20));
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 20))) {
    INFO("index " << index);
    REQUIRE(each.has_value());
    CHECK(*each == 3 * index);
    CHECK(executed[static_cast<std::size_t>(index)] == 1);
    ++index;
  }
  CHECK(index == 20);
}

TEST_CASE("what workers left running ends with them, even if the spawner was killed", "[no_tsan]") {
  const bool used_again = GENERATE(false, true);
  shared_counters pids(2);
  invoker inv(
      0,
      [&](int, int x) {
        if (x == 0) {
          pids[0] = getppid();
          const pid_t child = fork();
          while (child == 0) pause();
          pids[1] = child;
        }
        return x;
      },
      processes(2));
  CHECK(inv.map(std::vector{0, 1, 2}).collect() == std::vector{0, 1, 2});
  kill(pids[0], SIGKILL);
  if (used_again) CHECK(inv.map(std::vector{3, 4}).collect() == std::vector{3, 4});
  inv.shutdown();
  CHECK(lenskit::tests::ends_within(pids[1], 2s));
  kill(pids[1], SIGKILL);
}

TEST_CASE("a pool that is shut down while its input is pulled gives what it has, then throws once", "[no_tsan]") {
  auto options = processes(2, 1);
  options.buffer_size = 8;
  auto inv = std::make_unique<invoker<int, int (*)(int, int)>>(
      0, [](int, int x) { return x; }, options);
  auto results = inv->map(std::views::iota(0, 100) | std::views::transform([&](int x) {
                            if (x == 20) inv->shutdown();
                            return x;
                          }));
  std::vector<int> seen;
  int thrown = 0;
  for (auto at = results.begin(); at != results.end();) {
    seen.push_back(*at);
    try {
      ++at;
    } catch (const lenskit::invoker_closed&) {
      ++thrown;
      break;
    }
  }
  CHECK(thrown == 1);
  CHECK(seen.size() >= 12);
  CHECK(results.begin() == results.end());
}

TEST_CASE("a program without standard streams can have tasks that print", "[no_tsan]") {
  CHECK(lenskit::tests::holds_in_child([] {
    for (int fd = 0; fd <= STDERR_FILENO; ++fd) close(fd);
    invoker inv(
        0,
        [](int, int x) {
          std::printf("nobody hears this\n");
          std::fflush(stdout);
          return 2 * x;
        },
        processes(2));
    bool all = true;
    for (int fd = 0; fd <= STDERR_FILENO; ++fd) all = all && fcntl(fd, F_GETFD) < 0;
    return all && inv.map(std::vector{1, 2, 3}).collect() == std::vector{2, 4, 6};
  }));
}
#endif
