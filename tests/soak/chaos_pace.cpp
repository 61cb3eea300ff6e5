#include "chaos_pace.hpp"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <new>
#include <system_error>
#include <thread>

namespace lenskit::soak::chaos {
namespace {

using namespace std::chrono_literals;
using wall_clock = std::chrono::steady_clock;

struct totals {
  std::atomic<std::int64_t> wanted_ns;
  std::atomic<std::int64_t> taken_ns;
};

totals* measured = nullptr;

std::chrono::nanoseconds processor_time() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

void work_a_little() {
  constexpr auto portion = 2ms;
  const auto begun = wall_clock::now();
  const auto until = processor_time() + portion;
  while (processor_time() < until) continue;
  measured->wanted_ns += std::chrono::nanoseconds(portion).count();
  measured->taken_ns += std::chrono::nanoseconds(wall_clock::now() - begun).count();
}

// Two at once, as the workers of a run are: schedulers share out by process groups and sessions.
[[noreturn]] void keep_pace() {
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) {
    std::jthread other(work_a_little);
    work_a_little();
    std::this_thread::sleep_for(40ms);
  }
}

}  // namespace

pace_maker::pace_maker() {
  void* room = ::mmap(nullptr, sizeof(totals), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) throw std::bad_alloc();
  measured = new (room) totals{};
  pid_ = ::fork();
  if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "cannot fork the pace maker");
  if (pid_ == 0) keep_pace();
}

pace_maker::~pace_maker() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  ::munmap(measured, sizeof(totals));
  measured = nullptr;
}

pace pace::now() noexcept { return {measured->wanted_ns, measured->taken_ns}; }

double slowness_since(const pace& then) noexcept {
  const auto now = pace::now();
  if (now.wanted_ns <= then.wanted_ns) return 1;
  return std::max(
      1.0, static_cast<double>(now.taken_ns - then.taken_ns) / static_cast<double>(now.wanted_ns - then.wanted_ns));
}

}  // namespace lenskit::soak::chaos
