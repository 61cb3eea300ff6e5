#include "chaos_cycles.hpp"

#include <lenskit/invoker.hpp>

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <ranges>
#include <stdexcept>
#include <vector>

namespace lenskit::soak::chaos {
namespace {

// What is really held: what the allocator keeps for later comes and goes with the timing of threads.
std::int64_t resident_bytes() {
  ::malloc_trim(0);
  std::int64_t pages = 0;
  std::int64_t resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

constexpr int deadly = 7;
constexpr int throwing = 11;

int triple(const std::vector<int>& numbers, int task) {
  if (task == deadly) ::_exit(1);
  if (task == throwing) throw std::out_of_range("in a cycle");
  return task * numbers.front();
}

// Whether everything was as it should be.
bool live_once(const std::vector<int>& numbers) {
  invoker workers(numbers, triple, {.n_jobs = 2, .engine = engine::processes});
  int index = 0;
  for (const auto& each : workers.map_outcomes(std::views::iota(0, 20))) {
    if (each.has_value() == (index == deadly || index == throwing)) return false;
    if (each && *each != 3 * index) return false;
    ++index;
  }
  auto dropped = workers.map(std::views::iota(0));
  return index == 20 && *dropped.begin() == 0;
}

}  // namespace

void cycle(long count, notes& complaints) {
  constexpr long warm_up = 300;
  const std::vector<int> numbers(1000, 3);
  // The least of a few looks: threads that end at the time still hold some.
  constexpr long looks = 50;
  constexpr auto none = std::numeric_limits<std::int64_t>::max();
  std::int64_t before = none;
  std::int64_t after = none;
  for (long done = -warm_up; done < count; ++done) {
    if (done >= 0 && done < looks) before = std::min(before, resident_bytes());
    if (done >= count - looks) after = std::min(after, resident_bytes());
    if (!live_once(numbers)) return complaints.complain("G2 a wrong result in cycle " + std::to_string(done));
  }
  complaints.counters[cycles_measured] = count;
  complaints.counters[grown_bytes] = after - before;
}

}  // namespace lenskit::soak::chaos
