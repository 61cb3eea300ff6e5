// H1, H6 and V6: the rights of a program, signals to a whole service, and handlers of faults.
#include <lenskit/error.hpp>
#include <lenskit/invoker.hpp>
#include <lenskit/run_sp.hpp>
#include <support/call_faults.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/in_child.hpp>
#include <support/shared_counters.hpp>

#include <sys/mman.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <exception>
#include <ranges>
#include <set>
#include <thread>
#include <vector>

#ifndef __SANITIZE_THREAD__

using lenskit::invoker;
using lenskit::detail::sys::call;
using lenskit::tests::call_faults;
using lenskit::tests::holds_in_child;
using lenskit::tests::on;
using lenskit::tests::shared_counters;
using namespace std::chrono_literals;

namespace {

constexpr auto processes = lenskit::engine::processes;

template <class Condition>
bool comes_true(Condition condition, std::chrono::seconds within = 10s) {
  const auto deadline = std::chrono::steady_clock::now() + within;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

}  // namespace

TEST_CASE("H1: a program that has dropped its rights, or may not send signals, ends late tasks all the same",
          "[no_tsan]") {
  const bool refused = GENERATE(true, false);
  if (!refused && geteuid() != 0) LENSKIT_SKIP("only root has rights to drop");
  CHECK(holds_in_child([refused] {
    auto options = on(processes);
    options.task_timeout = 200ms;
    invoker inv(
        0,
        [](int, int x) {
          if (x == 3) std::this_thread::sleep_for(300s);
          return x;
        },
        options);
    if (inv.map(std::vector{1, 2}).collect() != std::vector{1, 2}) return false;
    constexpr uid_t nobody = 65534;
    if (!refused && (setgid(nobody) != 0 || setuid(nobody) != 0)) return false;
    const pid_t program = getpid();
    const call_faults filter(
        [&](call which) { return refused && which == call::pidfd_send_signal && getpid() == program ? EPERM : 0; });
    const auto begin = std::chrono::steady_clock::now();
    int values = 0;
    int late = 0;
    for (const auto& each : inv.map_outcomes(std::vector{1, 2, 3, 4})) {
      try {
        static_cast<void>(each.value());
        ++values;
      } catch (const lenskit::task_timeout&) {
        ++late;
      }
    }
    inv.shutdown();
    return values == 3 && late == 1 && std::chrono::steady_clock::now() - begin < 10s;
  }));
}

// A sandbox that was there first is the workers' and the spawner's too.
TEST_CASE("H1: a program that never could send signals by handle, or none at all, ends late tasks all the same",
          "[no_tsan]") {
  const bool by_number = GENERATE(true, false);
  const bool in_subprocess = GENERATE(true, false);
  CAPTURE(by_number, in_subprocess);
  CHECK(holds_in_child([=] {
    const call_faults filter([=](call which) {
      return which == call::pidfd_send_signal || (!by_number && which == call::kill) ? EPERM : 0;
    });
    const auto begin = std::chrono::steady_clock::now();
    const auto in_time = [&] { return std::chrono::steady_clock::now() - begin < 10s; };
    if (in_subprocess) {
      try {
        lenskit::run_sp({.timeout = 200ms}, [] { std::this_thread::sleep_for(300s); });
      } catch (const lenskit::task_timeout&) {
        return in_time();
      }
      return false;
    }
    auto options = on(processes);
    options.task_timeout = 200ms;
    options.max_retries = 0;
    int late = 0;
    int lost = 0;
    {
      invoker inv(
          0,
          [](int, int x) {
            if (x == 3) std::this_thread::sleep_for(300s);
            return x;
          },
          options);
      for (const auto& each : inv.map_outcomes(std::views::iota(0, 20))) {
        if (each.has_value()) continue;
        try {
          std::rethrow_exception(each.error());
        } catch (const lenskit::task_timeout&) {
          ++late;
        } catch (const lenskit::worker_died&) {
          ++lost;
        }
      }
    }
    // Where nothing may be killed, the spawner's end takes what the other worker runs along.
    return in_time() && late == 1 && lost <= (by_number ? 0 : 1);
  }));
}

TEST_CASE("H6: a signal to every process of a service is the program's to handle", "[no_tsan]") {
  const int number = GENERATE(SIGTERM, SIGHUP, SIGQUIT, SIGUSR1);
  CAPTURE(number);
  shared_counters heard(1);
  static shared_counters* handled = nullptr;
  handled = &heard;
  CHECK(holds_in_child([number] {
    signal(number, [](int) { ++(*handled)[0]; });
    auto options = on(processes);
    options.chunk_size = 1;
    invoker inv(
        0,
        [](int, int) {
          std::this_thread::sleep_for(50ms);
          return static_cast<int>(getpid());
        },
        options);
    std::set<int> workers;
    int lost = 0;
    int done = 0;
    for (const auto& each : inv.map_outcomes(std::views::iota(0, 12))) {
      lost += each.has_error();
      if (each.has_value()) workers.insert(*each);
      if (++done != 4) continue;
      const pid_t manager = fork();
      if (manager == 0) {
        for (const int worker : workers) kill(worker, number);
        kill(getppid(), number);
        _exit(0);
      }
      waitpid(manager, nullptr, 0);
    }
    return lost == 0 && done == 12 && workers.size() == 2;
  }));
  CHECK(heard[0] == 1);
}

TEST_CASE("H6: from itself, its program and to its own children SIGTERM does what it always does", "[no_tsan]") {
  shared_counters worker(1);
  invoker inv(
      0,
      [&](int, int x) {
        if (x == 0) raise(SIGTERM);
        if (x == 1) {
          worker[0] = getpid();
          std::this_thread::sleep_for(300s);
        }
        const pid_t child = fork();
        if (child == 0) {
          pause();
          _exit(1);
        }
        kill(child, SIGTERM);
        int status = 0;
        waitpid(child, &status, 0);
        return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
      },
      on(processes, 1));
  std::jthread ender([&] {
    if (comes_true([&] { return worker[0] != 0; })) kill(worker[0], SIGTERM);
  });
  const auto outcomes = inv.map_outcomes(std::views::iota(0, 3)).collect();
  for (const auto& died : {outcomes[0], outcomes[1]}) {
    try {
      static_cast<void>(died.value());
      FAIL("the worker lived on");
    } catch (const lenskit::worker_died& death) {
      CHECK(death.signal() == SIGTERM);
    }
  }
  CHECK(outcomes[2].value() == SIGTERM);
}

TEST_CASE("V6: a fault that the program's handler mends is none, on every engine", "[no_tsan]") {
  ON_EVERY_ENGINE(engine);
  static char* page = nullptr;
  static sigjmp_buf back;
  CHECK(holds_in_child([engine] {
    page = static_cast<char*>(mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    signal(SIGSEGV, [](int) {
      mprotect(page, 4096, PROT_READ | PROT_WRITE);
      page[0] = 42;
    });
    struct sigaction action {};
    action.sa_sigaction = [](int, siginfo_t*, void*) { siglongjmp(back, 1); };
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGFPE, &action, nullptr);
    invoker inv(
        0,
        [](int, int x) {
          if (x != 1) return static_cast<int>(static_cast<volatile char*>(page)[0]);
          if (sigsetjmp(back, 1) != 0) return 43;
          raise(SIGFPE);
          return 0;
        },
        on(engine, 1));
    const bool right = inv.map(std::vector{0, 1, 0, 1}).collect() == std::vector{42, 43, 42, 43};
    munmap(page, 4096);
    return right;
  }));
}

TEST_CASE("V6: a fault that the program's handler gives up is reported, and kills the worker alone", "[no_tsan]") {
  struct way {
    const char* name;
    void (*handler)(int);
    int flags;
  };
  static constexpr way ways[] = {
      {"default and again", [](int number) { signal(number, SIG_DFL); }, 0},
      {"default and raise",
       [](int number) {
         signal(number, SIG_DFL);
         raise(number);
       },
       0},
      {"once", [](int) {}, static_cast<int>(SA_RESETHAND)},
      {"once and raise", [](int number) { raise(number); }, static_cast<int>(SA_RESETHAND) | SA_NODEFER},
  };
  const auto& how = ways[GENERATE(range(0, 4))];
  INFO(how.name);
  CHECK(holds_in_child([&how] {
    struct sigaction action {};
    action.sa_handler = how.handler;
    action.sa_flags = how.flags;
    sigaction(SIGSEGV, &action, nullptr);
    invoker inv(
        0,
        [](int, int x) {
          if (x == 1) *reinterpret_cast<volatile int*>(std::uintptr_t{16}) = 1;
          return x;
        },
        on(processes, 1));
    bool right = true;
    int index = 0;
    for (const auto& each : inv.map_outcomes(std::views::iota(0, 3))) {
      if (index++ != 1) {
        right = right && each.has_value();
        continue;
      }
      try {
        static_cast<void>(each.value());
        right = false;
      } catch (const lenskit::worker_died& death) {
        right = right && death.signal() == SIGSEGV && !death.stack().empty();
      }
    }
    return right;
  }));
}

#endif
