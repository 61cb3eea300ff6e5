// W1 to W4 and W8: a worker dies in a task.
#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/message_of.hpp>
#include <support/reporting_child.hpp>
#include <support/shared_counters.hpp>

#include <sys/resource.h>
#include <sys/syscall.h>

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <new>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

using lenskit::invoker;
using lenskit::worker_died;
using lenskit::tests::mentions;
using lenskit::tests::message_of;
using lenskit::tests::on;
using lenskit::tests::shared_counters;
using namespace std::chrono_literals;

#ifndef __SANITIZE_THREAD__
namespace {

// The sanitizers turn signals of a crash into an exit of their own.
#ifdef __SANITIZE_ADDRESS__
constexpr bool crashes_are_reported = true;
#else
constexpr bool crashes_are_reported = false;
#endif

constexpr auto processes = lenskit::engine::processes;
constexpr int n_tasks = 20;
constexpr int fatal_task = 7;

int overflow_stack(int depth) {
  volatile char room[4096];
  room[0] = static_cast<char>(depth);
  if (depth < 0) return room[0];  // never, but the compiler does not know
  return overflow_stack(depth + 1) + room[0];
}

void throw_something() { throw std::domain_error("not to be caught"); }

struct way_to_die {
  const char* name;
  void (*go)();
  std::optional<int> signal{};
  std::optional<int> exit_code{};
};

void no_core() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

void check_fields(const worker_died& death, const way_to_die& way) {
  CHECK(death.index() == fatal_task);
  CHECK(death.worker_pid() > 0);
  CHECK(death.worker_pid() != getpid());
  const bool ended_from_outside = way.signal == SIGKILL || way.signal == SIGTERM;
  if (!crashes_are_reported || !way.signal || ended_from_outside) {
    CHECK(death.signal() == way.signal);
    CHECK(death.exit_code() == way.exit_code);
  }
  CHECK(death.probably_out_of_memory() == (way.signal == SIGKILL));
  CHECK_FALSE(death.core_dumped());
  CHECK(death.stack().empty() == (!death.signal() || ended_from_outside));
}

// One task of twenty dies in that way: it is the only one that fails, all run once, and the pool is as good as before.
void check_that_it_costs_one_task(const way_to_die& way) {
  INFO(way.name);
  shared_counters executed(n_tasks);
  invoker inv(
      0,
      [&](int, int x) {
        ++executed[static_cast<std::size_t>(x)];
        if (x == fatal_task) {
          no_core();
          way.go();
        }
        return 3 * x;
      },
      on(processes));
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, n_tasks))) {
    INFO("index " << index);
    REQUIRE(each.has_value() == (index != fatal_task));
    if (each.has_value()) {
      CHECK(*each == 3 * index);
    } else {
      try {
        each.value();
      } catch (const worker_died& death) {
        check_fields(death, way);
      } catch (...) {
        CHECK(false);
      }
    }
    CHECK(executed[static_cast<std::size_t>(index)] == 1);
    ++index;
  }
  CHECK(index == n_tasks);
  CHECK(inv.map(std::vector{8, 9}).collect() == std::vector{24, 27});
}

int oom_score_adjustment() {
  int adjustment = 0;
  std::ifstream("/proc/self/oom_score_adj") >> adjustment;
  return adjustment;
}

}  // namespace

TEST_CASE("W1: whatever signal ends a worker costs its task and nothing else", "[no_tsan]") {
  static const std::vector<way_to_die> ways{
      {"SIGSEGV", [] { raise(SIGSEGV); }, SIGSEGV}, {"SIGABRT", [] { std::abort(); }, SIGABRT},
      {"SIGBUS", [] { raise(SIGBUS); }, SIGBUS},    {"SIGFPE", [] { raise(SIGFPE); }, SIGFPE},
      {"SIGILL", [] { raise(SIGILL); }, SIGILL},    {"SIGKILL", [] { raise(SIGKILL); }, SIGKILL},
      {"SIGTERM", [] { raise(SIGTERM); }, SIGTERM},
  };
  check_that_it_costs_one_task(ways[GENERATE(range(std::size_t{0}, std::size_t{7}))]);
}

TEST_CASE("W1: a death is noticed within 100 ms", "[no_tsan][serial]") {
  std::chrono::nanoseconds quickest = 1h;  // of several: a loaded machine delays some
  for (int time = 0; time < 5; ++time) {
    shared_counters died(1);
    invoker inv(
        0,
        [&](int, int) {
          ++died[0];
          raise(SIGKILL);
        },
        on(processes));
    std::chrono::steady_clock::time_point seen{};
    std::thread observer([&] {
      while (died[0] == 0) std::this_thread::yield();
      seen = std::chrono::steady_clock::now();
    });
    CHECK_THROWS_AS(inv.map(std::vector{1}).collect(), worker_died);
    const auto returned = std::chrono::steady_clock::now();
    observer.join();
    quickest = std::min<std::chrono::nanoseconds>(quickest, returned - seen);
  }
  CHECK(quickest < 100ms);
}

TEST_CASE("W1: among very many small tasks a death costs one, and each other runs exactly once", "[no_tsan]") {
  constexpr int count = 100'000;
  const int fatal = GENERATE(0, 1, 33'333, count - 1);
  const std::size_t chunk = GENERATE(0U, 1000U);
  shared_counters executed(count);
  auto options = on(processes);
  options.chunk_size = chunk;
  invoker inv(
      0,
      [&](int, int x) {
        ++executed[static_cast<std::size_t>(x)];
        if (x == fatal) raise(SIGKILL);
        return x;
      },
      options);
  std::size_t index = 0;
  std::size_t wrong = 0;
  std::vector<std::size_t> failed;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, count))) {
    if (each.has_error()) {
      failed.push_back(index);
    } else {
      wrong += *each != static_cast<int>(index);
    }
    wrong += executed[index] != 1;
    ++index;
  }
  CHECK(index == count);
  CHECK(wrong == 0);
  CHECK(failed == std::vector{static_cast<std::size_t>(fatal)});
}

TEST_CASE("W1: several deaths in one call cost a task each", "[no_tsan]") {
  const std::size_t chunk = GENERATE(0U, 1U, 50U);
  auto options = on(processes, 3);
  options.chunk_size = chunk;
  invoker inv(
      0,
      [](int, int x) {
        if (x % 20 == 9) raise(SIGKILL);
        return x;
      },
      options);
  std::vector<int> seen(200);
  std::size_t deaths = 0;
  for (const auto& each : inv.as_completed(std::views::iota(0, 200))) {
    ++seen.at(each.index);
    deaths += each.result.has_error();
    CHECK(each.result.has_error() == (each.index % 20 == 9));
  }
  CHECK(deaths == 10);
  CHECK(seen == std::vector<int>(200, 1));
}

TEST_CASE("W2: a worker that exits has died, whatever its code and however it does it", "[no_tsan]") {
  static const std::vector<way_to_die> ways{
      {"_exit(0)", [] { _exit(0); }, {}, 0},
      {"exit(0)", [] { std::exit(0); }, {}, 0},
      {"exit(3)", [] { std::exit(3); }, {}, 3},
      {"_exit(255)", [] { _exit(255); }, {}, 255},
      {"quick_exit(4)", [] { std::quick_exit(4); }, {}, 0},  // its handlers are not told the code
      {"the end of its only thread", [] { syscall(SYS_exit, 0); }, {}, 0},
  };
  check_that_it_costs_one_task(ways[GENERATE(range(std::size_t{0}, std::size_t{6}))]);
}

TEST_CASE("W2: a task that ends its main thread costs itself", "[no_tsan]") {
  invoker inv(
      0,
      [](int, int x) {
        no_core();
        if (x == fatal_task) pthread_exit(nullptr);
        return x;
      },
      on(processes));
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, n_tasks))) {
    CHECK(each.has_value() == (index != fatal_task));
    if (each.has_error()) CHECK_THROWS_AS(each.value(), worker_died);
    ++index;
  }
  CHECK(index == n_tasks);
}

TEST_CASE("W3: a task that eats all memory it may have fails alone, and its worker lives on", "[no_tsan]") {
  if (crashes_are_reported) LENSKIT_SKIP("the address sanitizer needs more address space than any limit leaves");
  invoker inv(
      0,
      [](int, int x) {
        if (x != fatal_task) return x;
        rlimit before{};
        getrlimit(RLIMIT_AS, &before);
        const rlimit tight{std::size_t{1} << 30, before.rlim_max};
        setrlimit(RLIMIT_AS, &tight);
        std::vector<std::vector<char>> eaten;
        try {
          for (;;) eaten.emplace_back(std::size_t{64} << 20);
        } catch (...) {
          setrlimit(RLIMIT_AS, &before);
          throw;
        }
      },
      on(processes));
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, n_tasks))) {
    CHECK(each.has_value() == (index != fatal_task));
    if (each.has_error()) CHECK_THROWS_AS(each.value(), std::bad_alloc);
    ++index;
  }
  CHECK(index == n_tasks);
}

TEST_CASE("W3: a SIGKILL from outside is probably the kernel's, for want of memory, and the message says so",
          "[no_tsan]") {
  invoker inv(
      0, [](int, int) { raise(SIGKILL); }, on(processes));
  const auto message = message_of<worker_died>([&] { std::ignore = inv.map(std::vector{1}).collect(); });
  CHECK(mentions(message, {"SIGKILL", "probably out of memory", "peak memory"}));
}

TEST_CASE("W3: the kernel prefers workers to their parent when memory runs out", "[no_tsan]") {
  constexpr int highest = 1000;
  invoker inv(
      0, [](int, int) { return oom_score_adjustment(); }, on(processes));
  const int own = oom_score_adjustment();
  for (const int of_worker : inv.map(std::vector<int>(4)).collect()) CHECK(of_worker > std::min(own, highest - 1));
}

TEST_CASE("W4: an exception that nobody may catch and a stack that overflows cost one task and leave a stack",
          "[no_tsan]") {
  static const std::vector<way_to_die> ways{
      {"out of noexcept", []() noexcept { throw_something(); }, SIGABRT},
      {"std::terminate", [] { std::terminate(); }, SIGABRT},
      {"an exception in a thread", [] { std::thread([] { throw 1; }).join(); }, SIGABRT},
      {"stack overflow", [] { overflow_stack(0); }, SIGSEGV},
  };
  check_that_it_costs_one_task(ways[GENERATE(range(std::size_t{0}, std::size_t{4}))]);
}

TEST_CASE("W4: whatever a task throws is that task's error, with its type and text", "[no_tsan]") {
  struct odd {};
  invoker inv(
      0,
      [](int, int x) {
        if (x == 1) throw 42;
        if (x == 2) throw odd();
        if (x == 3) throw std::domain_error("three");
        return x;
      },
      on(processes));
  const auto outcomes = inv.map_outcomes(std::views::iota(0, 5)).collect();
  const auto type_of = [&](std::size_t index) {
    try {
      outcomes[index].value();
    } catch (const lenskit::task_error& where) {
      return where.type_name();
    }
    return std::string("none");
  };
  CHECK(outcomes[0].value() == 0);
  CHECK(outcomes[4].value() == 4);
  CHECK(type_of(1) == "int");
  CHECK(mentions(type_of(2), {"odd"}));
  CHECK(type_of(3) == "std::domain_error");
  CHECK_THROWS_AS(outcomes[3].value(), std::domain_error);
  CHECK(message_of([&] { outcomes[3].value(); }) == "three");
}

TEST_CASE("W8: the error says which task died of what, after how long, with how much memory and which last words",
          "[no_tsan]") {
  const lenskit::tests::fresh_loggers loggers;
  constexpr int last_words = 500;
  constexpr std::size_t eaten = std::size_t{32} << 20;
  auto options = on(processes);
  options.task_timeout = 20s;  // only then is a task's own time kept
  invoker inv(
      0,
      [](int, int x) {
        if (x != 3) return;
        const std::vector<char> used(eaten, 'x');
        for (int i = 0; i < last_words; ++i) spdlog::info("last words {} of {}", i, used.back());
        std::this_thread::sleep_for(30ms);
        raise(SIGKILL);
      },
      options);
  try {
    std::ignore = inv.map(std::views::iota(0, 10)).collect();
    CHECK(false);
  } catch (const worker_died& death) {
    CHECK(death.index() == 3);
    CHECK(death.worker_pid() != getpid());
    CHECK(death.signal() == SIGKILL);
    CHECK_FALSE(death.exit_code().has_value());
    CHECK(death.elapsed() >= 30ms);
    CHECK(death.elapsed() < 20s);
    CHECK(death.peak_memory() > eaten);
    REQUIRE_FALSE(death.log_tail().empty());
    CHECK(death.log_tail().back().find("last words 499") != std::string::npos);
    CHECK(mentions(death.what(), {"task 3", std::to_string(death.worker_pid()), "SIGKILL", "last words 499"}));
    CHECK(loggers.sink->texts().size() == last_words);
  }
}

#endif

TEST_CASE("W2: a worker whose first thread ends beside others costs its task", "[no_tsan]") {
  lenskit::invoker inv(0,
                       [](int, int x) {
                         if (x == 1) {
                           std::thread([] {
                             for (;;) ::pause();
                           }).detach();
                           ::syscall(SYS_exit, 5);
                         }
                         return x;
                       },
                       {.n_jobs = 1, .engine = lenskit::engine::processes});
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 4))) CHECK(each.has_value() == (index++ != 1));
  CHECK(index == 4);
}
