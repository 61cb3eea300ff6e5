// P7: from asking for one task to its result, on a pool that has nothing else to do.
#include <support/contest.hpp>
#include <support/pipe_farm.hpp>

#include <lenskit/parallel.hpp>

#include <sched.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

struct no_model {};

// Keeps the calling thread on one core; -1: on none in particular.
void stay_on(int core) {
  if (core < 0) return;
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(static_cast<std::size_t>(core), &only);
  if (::sched_setaffinity(0, sizeof only, &only) != 0) bench::fail("sched_setaffinity");
}

// The median of many round trips, µs; before each the other side has long been asleep.
double median_latency(auto&& round_trip) {
  constexpr auto idle = std::chrono::milliseconds(3);
  std::vector<double> all(bench::sized<std::size_t>(200, 100));
  for (auto& each : all) {
    std::this_thread::sleep_for(idle);
    each = bench::seconds_of(round_trip) * 1e6;
  }
  std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2), all.end());
  return all[all.size() / 2];
}

void expect(bool right) {
  if (!right) throw std::runtime_error("a result is wrong");
}

// In a process of its own, because it is bound to a core.
void compare(const std::string& what, int own_core, int other_core) {
  bench::run_apart([&] {
    auto same = [other_core, moved = false](int x) mutable {
      if (!std::exchange(moved, true)) stay_on(other_core);
      return x;
    };
    bench::pipe_farm<int, int> farm(1, 1, same);
    auto same_with_model = [same](const no_model&, int x) mutable { return same(x); };
    lenskit::invoker pool(no_model{}, same_with_model, bench::workers);
    stay_on(own_core);
    constexpr std::array one{7};
    bench::contest contest("P7", what, "µs");
    contest.add("lenskit", [&] { return median_latency([&] { expect(*pool.map(one).begin() == one[0]); }); });
    contest.add("bare pipes", [&] {
      return median_latency([&] {
        farm.map(
            1, 1, [&](std::size_t) { return one[0]; }, [&](int x) { expect(x == one[0]); });
      });
    });
    contest.run(3);
  });
}

}  // namespace

int main(int argc, char** argv) {
  bench::initialize(argc, argv);
  compare("wherever the kernel puts them", -1, -1);
  if (std::thread::hardware_concurrency() > 1) compare("on two cores", 0, 1);
  compare("on one core", 0, 0);
}
