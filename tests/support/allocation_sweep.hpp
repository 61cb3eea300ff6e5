// Sweeps: a life of the library is lived again and again, each time in a process of its own and with another
// allocation that fails.
#pragma once

#include <lenskit/detail/os/descriptor.hpp>

#include <support/allocation_faults.hpp>

#include <sys/prctl.h>
#include <sys/wait.h>

#include <execinfo.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

namespace lenskit::tests {

struct sweep_options {
  std::string name;
  allocations_of whose = allocations_of::this_process;
  allocation_fault::kind kind = allocation_fault::kind::once;
  long step = 1;  ///< from one point to the next
};

struct sweep_result {
  long points = 0;  ///< allocations that failed
  long bad = 0;     ///< of these, those that ended badly
};

/// What a process has that a pool could leave behind.
struct holdings {
  int descriptors = 0;
  int mappings = 0;

  static holdings now() {
    holdings all{detail::descriptors_owned(), 0};
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      const bool library = line.find("/memfd:lenskit") != std::string::npos ||
                           line.find("/lenskit") != std::string::npos || line.find("/dev/zero") != std::string::npos;
      all.mappings += library && line.ends_with("(deleted)") ? 1 : 0;
    }
    return all;
  }
  bool operator==(const holdings&) const = default;
};

/// Lives, in a forked process, and says on stderr what was wrong. `life` takes the fault, ends it when it likes, and
/// returns a complaint or nothing.
template <class Life>
[[noreturn]] void live_once(const sweep_options& how, long which, const Life& life) {
  for (const int number : {SIGABRT, SIGSEGV, SIGTERM}) ::signal(number, SIG_DFL);
  std::string complaint;
  const auto before = holdings::now();
  try {
    allocation_fault fault(which, how.whose, how.kind);
    complaint = life(fault);
    fault.end();
  } catch (const std::exception& error) {
    allocation_fault::stop();
    complaint = std::string("threw ") + error.what();
  }
  if (complaint.empty() && !(holdings::now() == before)) complaint = "descriptors or mappings are left";
  if (!complaint.empty()) std::fprintf(stderr, "%s\n", complaint.c_str());
  std::fflush(stderr);
  ::_exit(complaint.empty() ? 0 : 1);
}

/// The wait status of a child; one that takes longer than `limit` is killed.
inline int wait_within(pid_t child, std::chrono::seconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) {
      std::fprintf(stderr, "hangs\n");
      if (std::getenv("LENSKIT_TESTS_KEEP_HUNG") != nullptr) ::pause();
      ::kill(child, SIGKILL);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return status;
}

/// Of a subreaper: whether all that its children have left behind ends by itself.
inline bool nobody_is_left() {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(3);
  for (;;) {
    const pid_t gone = ::waitpid(-1, nullptr, WNOHANG);
    if (gone < 0) return true;
    if (gone > 0) continue;
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

/// Lets the first allocation of a life fail, then the second, and so on, until there are no more.
template <class Life>
sweep_result sweep(const sweep_options& how, const Life& life) {
  constexpr long most = 20'000;
  constexpr int unreached_enough = 3;  // how many there are varies a little, since threads take part
  constexpr std::chrono::seconds limit(30);
  constexpr std::chrono::seconds unhurried(4);  // what fails is known at once, and nothing is waited for
  sweep_result found;
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  for (long which = 1, unreached = 0; which < most && unreached < unreached_enough; which += how.step) {
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child == 0) live_once(how, which, life);
    const auto begun = std::chrono::steady_clock::now();
    const int status = child < 0 ? 1 : wait_within(child, limit);
    const bool late = std::chrono::steady_clock::now() - begun > unhurried;
    const bool alone = nobody_is_left();
    const bool reached = allocation_fault::failed() > 0;
    unreached = reached ? 0 : unreached + 1;
    found.points += reached ? 1 : 0;
    if (status == 0 && alone && !late) continue;
    ++found.bad;
    std::fprintf(stderr, "%s: allocation %ld ends with status %#x%s%s; asked for by\n", how.name.c_str(), which,
                 static_cast<unsigned>(status), alone ? "" : " and leaves processes", late ? " and takes seconds" : "");
    const auto callers = allocation_fault::asked_by();
    ::backtrace_symbols_fd(callers.data(), static_cast<int>(callers.size()), STDERR_FILENO);
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
  std::printf("%s: %ld allocations failed, %ld of them badly\n", how.name.c_str(), found.points, found.bad);
  return found;
}

}  // namespace lenskit::tests
