#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/reporting_child.hpp>
#include <support/shared_counters.hpp>

#include <sys/resource.h>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <ranges>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

using lenskit::broken_pool;
using lenskit::invoker;
using lenskit::invoker_options;
using lenskit::worker_died;
using lenskit::tests::shared_counters;
using namespace std::chrono_literals;

namespace {

// The sanitizers turn signals of a crash into an exit of their own.
#ifdef __SANITIZE_ADDRESS__
constexpr bool crashes_are_reported = true;
#else
constexpr bool crashes_are_reported = false;
#endif

[[maybe_unused]] invoker_options processes(int n_jobs = 2) {
  return {.n_jobs = n_jobs, .engine = lenskit::engine::processes};
}

int overflow_stack(int depth) {
  volatile char room[4096];
  room[0] = static_cast<char>(depth);
  if (depth < 0) return room[0];  // never, but the compiler does not know
  return overflow_stack(depth + 1) + room[0];
}

struct way_to_die {
  const char* name;
  void (*go)();
  std::optional<int> signal;
  std::optional<int> exit_code;
};

[[maybe_unused]] void no_core() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

const std::vector<way_to_die> ways{
    {"SIGSEGV", [] { raise(SIGSEGV); }, SIGSEGV, {}},
    {"SIGBUS", [] { raise(SIGBUS); }, SIGBUS, {}},
    {"SIGFPE", [] { raise(SIGFPE); }, SIGFPE, {}},
    {"SIGILL", [] { raise(SIGILL); }, SIGILL, {}},
    {"SIGKILL", [] { raise(SIGKILL); }, SIGKILL, {}},
    {"SIGTERM", [] { raise(SIGTERM); }, SIGTERM, {}},
    {"abort", [] { std::abort(); }, SIGABRT, {}},
    {"terminate", []() noexcept { std::ignore = std::vector<int>().at(1); }, SIGABRT, {}},
    {"stack overflow", [] { overflow_stack(0); }, SIGSEGV, {}},
    {"_exit(0)", [] { _exit(0); }, {}, 0},
    {"exit(0)", [] { std::exit(0); }, {}, 0},
    {"exit(3)", [] { std::exit(3); }, {}, 3},
    {"_exit(255)", [] { _exit(255); }, {}, 255},
    {"quick_exit(4)", [] { std::quick_exit(4); }, {}, 0},  // its handlers are not told the code
};

}  // namespace

#ifndef __SANITIZE_THREAD__

TEST_CASE("whatever way a worker dies costs its task and nothing else", "[no_tsan]") {
  const auto& way = ways[GENERATE(range(std::size_t{0}, ways.size()))];
  INFO(way.name);
  shared_counters executed(20);
  invoker inv(
      0,
      [&](int, int x) {
        ++executed[static_cast<std::size_t>(x)];
        if (x == 7) {
          no_core();
          way.go();
        }
        return 3 * x;
      },
      processes());
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 20))) {
    INFO("index " << index);
    REQUIRE(each.has_value() == (index != 7));
    if (each.has_value()) {
      CHECK(*each == 3 * index);
    } else {
      try {
        each.value();
      } catch (const worker_died& death) {
        CHECK(death.index() == 7);
        CHECK(death.worker_pid() > 0);
        CHECK(death.worker_pid() != getpid());
        if (!crashes_are_reported || !way.signal || *way.signal == SIGKILL || *way.signal == SIGTERM) {
          CHECK(death.signal() == way.signal);
          CHECK(death.exit_code() == way.exit_code);
        }
        CHECK(death.probably_out_of_memory() == (way.signal == SIGKILL));
        const bool ended_from_outside = way.signal == SIGKILL || way.signal == SIGTERM;
        CHECK(death.stack().empty() == (!death.signal() || ended_from_outside));
      } catch (...) {
        CHECK(false);
      }
    }
    CHECK(executed[static_cast<std::size_t>(index)] == 1);
    ++index;
  }
  CHECK(index == 20);
  CHECK(inv.map(std::vector{8, 9}).collect() == std::vector{24, 27});
}

TEST_CASE("among very many small tasks a death costs one, and each other runs exactly once", "[no_tsan]") {
  constexpr int count = 100'000;
  const int fatal = GENERATE(0, 1, 33'333, count - 1);
  const std::size_t chunk = GENERATE(0U, 1000U);
  shared_counters executed(count);
  auto options = processes();
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

TEST_CASE("several deaths in one call cost a task each", "[no_tsan]") {
  const std::size_t chunk = GENERATE(0U, 1U, 50U);
  auto options = processes(3);
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

TEST_CASE("what a worker logged just before its death is in the log and in the exception", "[no_tsan]") {
  const lenskit::tests::fresh_loggers loggers;
  invoker inv(
      0,
      [](int, int x) {
        if (x == 3) {
          for (int i = 0; i < 500; ++i) spdlog::info("last words {}", i);
          raise(SIGKILL);
        }
      },
      processes());
  try {
    std::ignore = inv.map(std::views::iota(0, 10)).collect();
    CHECK(false);
  } catch (const worker_died& death) {
    REQUIRE_FALSE(death.log_tail().empty());
    CHECK(death.log_tail().back().find("last words 499") != std::string::npos);
    CHECK(loggers.sink->texts().size() == 500);
  }
}

TEST_CASE("a task whose worker died is run again as often as asked", "[no_tsan]") {
  const int deaths = GENERATE(1, 2, 3);
  shared_counters executed(20);
  auto options = processes();
  options.max_retries = 2;
  invoker inv(
      0,
      [&](int, int x) {
        if (++executed[static_cast<std::size_t>(x)] <= deaths && x == 7) raise(SIGKILL);
        return x;
      },
      options);
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 20))) {
    CHECK(each.has_value() == (index != 7 || deaths <= 2));
    CHECK(executed[static_cast<std::size_t>(index)] == (index != 7 ? 1 : std::min(deaths, 2) + 1));
    ++index;
  }
}

TEST_CASE("a pool whose workers all die gives up and says why", "[no_tsan]") {
  const auto start = std::chrono::steady_clock::now();
  invoker inv(
      0, [](int, int) { _exit(9); }, processes());
  std::string why;
  std::size_t causes = 0;
  std::size_t died = 0;
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
  CHECK_THROWS_AS(inv.map(std::vector{1}).collect(), broken_pool);
  CHECK(std::chrono::steady_clock::now() - start < 5s);
}

TEST_CASE("a worker that dies while it is idle is replaced, and nobody notices", "[no_tsan]") {
  invoker inv(
      0, [](int, int) { return getpid(); }, processes());
  for (int round = 0; round < 3; ++round) {
    for (const pid_t worker : inv.map(std::vector<int>(20)).collect()) kill(worker, SIGKILL);
    if (round == 1) std::this_thread::sleep_for(20ms);
    CHECK(inv.map(std::vector<int>(20)).collect().size() == 20);
  }
}

TEST_CASE("a worker that dies while it sends a large result costs its task", "[no_tsan]") {
  invoker inv(
      0,
      [](int, int x) {
        if (x == 2) {
          std::thread([] {
            std::this_thread::sleep_for(2ms);
            _exit(1);
          }).detach();
        }
        return std::string(std::size_t{16} << 20, static_cast<char>('a' + x));
      },
      processes());
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 4))) {
    if (index != 2) REQUIRE(each.has_value());
    if (each.has_value()) {
      CHECK(each->size() == std::size_t{16} << 20);
      CHECK(each->back() == 'a' + index);
    }
    ++index;
  }
  CHECK(index == 4);
}
#endif
