// H4: a program that closes every descriptor it did not open, as those that turn into daemons do.
#include <lenskit/invoker.hpp>
#include <lenskit/run_sp.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/in_child.hpp>

#include <unistd.h>

#include <chrono>
#include <exception>
#include <functional>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

#ifndef __SANITIZE_THREAD__

using lenskit::invoker;
using lenskit::tests::holds_in_child;
using lenskit::tests::on;
using namespace std::chrono_literals;
using clk = std::chrono::steady_clock;

namespace {

constexpr auto bound = 6s;  // two looks at descriptors, and the end of the pool

void close_from(int first) { close_range(static_cast<unsigned>(first), ~0U, 0); }

// Whether `use` ends within the bound, with the right results or with an exception that says what happened.
bool ends_well(const std::function<std::vector<int>()>& use, const std::vector<int>& expected) {
  const auto begun = clk::now();
  try {
    if (use() != expected) return false;
  } catch (const std::exception& error) {
    if (std::string(error.what()).find("descriptor") == std::string::npos) return false;
  }
  return clk::now() - begun < bound;
}

std::vector<int> numbers(int count) {
  std::vector<int> all(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) all[static_cast<std::size_t>(i)] = i;
  return all;
}

int same(int, int x) { return x; }
int slow(int, int x) {
  std::this_thread::sleep_for(20ms);
  return x;
}

}  // namespace

TEST_CASE("H4: a pool whose descriptors were closed between two calls works or throws, and ends", "[no_tsan]") {
  ON_ENGINES_WITH_WORKERS(engine);
  const int kept = GENERATE(0, 2, 3, 4, 8, 12);
  INFO(kept << " descriptors are left open");
  CHECK(holds_in_child([&] {
    const int first = dup(0);  // where those of the pool will begin, or a little before
    close(first);
    const auto begun = clk::now();
    {
      invoker inv(0, same, on(engine));
      if (inv.map(numbers(3)).collect() != numbers(3)) return false;
      close_from(first + kept);
      for (int round = 0; round < 2; ++round) {
        if (!ends_well([&] { return inv.map(numbers(50)).collect(); }, numbers(50))) return false;
      }
    }
    return clk::now() - begun < 3 * bound;
  }));
}

TEST_CASE("H4: a pool whose descriptors are closed while a call runs works or throws, and ends", "[no_tsan]") {
  ON_ENGINES_WITH_WORKERS(engine);
  CHECK(holds_in_child([&] {
    const auto begun = clk::now();
    {
      invoker inv(0, slow, on(engine));
      std::thread elsewhere([] {
        std::this_thread::sleep_for(100ms);
        close_from(3);
      });
      const bool well = ends_well([&] { return inv.map(numbers(40)).collect(); }, numbers(40));
      elsewhere.join();
      if (!well) return false;
    }
    return clk::now() - begun < 2 * bound;
  }));
}

TEST_CASE("H4: an idle pool whose descriptors were closed ends in bounded time, and a new one works", "[no_tsan]") {
  ON_ENGINES_WITH_WORKERS(engine);
  CHECK(holds_in_child([&] {
    const auto begun = clk::now();
    {
      invoker inv(0, same, on(engine));
      close_from(3);
    }
    invoker fresh(0, same, on(engine));
    return fresh.map(numbers(20)).collect() == numbers(20) && clk::now() - begun < bound;
  }));
}

#endif
