// P6, P9 and P10: signals for the parent and its workers, and system calls that signals interrupt or cut short.
#include <lenskit/detail/engines/control.hpp>
#include <lenskit/invoker.hpp>
#include <lenskit/persist.hpp>
#include <lenskit/run_sp.hpp>
#include <support/call_faults.hpp>
#include <support/catch.hpp>
#include <support/disposable_parent.hpp>
#include <support/engines.hpp>
#include <support/in_child.hpp>
#include <support/reporting_child.hpp>
#include <support/shared_counters.hpp>

#include <sys/time.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ranges>
#include <stop_token>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

using lenskit::invoker;
using lenskit::task_cancelled;
using lenskit::worker_died;
using lenskit::detail::sys::call;
using lenskit::tests::call_faults;
using lenskit::tests::disposable_parent;
using lenskit::tests::holds_in_child;
using lenskit::tests::on;
using lenskit::tests::shared_counters;
using namespace std::chrono_literals;

#ifndef __SANITIZE_THREAD__
namespace {

constexpr auto processes = lenskit::engine::processes;

void wait_for(const shared_counters::counter& counter, int value) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (counter < value && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(1ms);
  REQUIRE(counter >= value);
}

// Every disposition and the calling thread's mask, to compare.
struct signal_state {
  std::vector<struct sigaction> actions;
  sigset_t mask;

  static signal_state now() {
    signal_state state;
    for (int number = 1; number < NSIG; ++number) {
      struct sigaction action {};
      if (sigaction(number, nullptr, &action) == 0) state.actions.push_back(action);
    }
    pthread_sigmask(SIG_SETMASK, nullptr, &state.mask);
    return state;
  }
  friend bool operator==(const signal_state& a, const signal_state& b) {
    if (a.actions.size() != b.actions.size()) return false;
    for (std::size_t i = 0; i < a.actions.size(); ++i) {
      if (a.actions[i].sa_handler != b.actions[i].sa_handler || a.actions[i].sa_flags != b.actions[i].sa_flags) {
        return false;
      }
    }
    for (int number = 1; number < NSIG; ++number) {
      if (sigismember(&a.mask, number) != sigismember(&b.mask, number)) return false;
    }
    return true;
  }
};

// Maps tasks that never end until a SIGINT comes, the way a program with a stop token would.
bool stops_at_interrupt(shared_counters& started) {
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  pthread_sigmask(SIG_BLOCK, &interrupt, nullptr);
  std::stop_source stop;
  std::chrono::steady_clock::time_point requested;
  std::thread decider([&] {
    int number = 0;
    sigwait(&interrupt, &number);
    requested = std::chrono::steady_clock::now();
    stop.request_stop();
  });
  auto options = on(processes);
  options.stop_token = stop.get_token();
  bool cancelled = false;
  {
    invoker inv(
        0,
        [&](int, int) {
          ++started[0];
          std::this_thread::sleep_for(300s);
        },
        options);
    try {
      std::ignore = inv.map(std::views::iota(0, 4)).collect();
    } catch (const task_cancelled&) {
      cancelled = true;
    }
  }
  decider.join();
  return cancelled && std::chrono::steady_clock::now() - requested < 2s;
}

// Sends this process a SIGALRM each millisecond while it lives, with a handler after which calls do not restart.
class alarm_storm {
 public:
  alarm_storm() {
    struct sigaction action {};
    action.sa_handler = [](int) { ++rung(); };
    sigaction(SIGALRM, &action, &before_);
    const itimerval each_millisecond{{0, 1000}, {0, 1000}};
    setitimer(ITIMER_REAL, &each_millisecond, nullptr);
  }
  ~alarm_storm() {
    const itimerval none{};
    setitimer(ITIMER_REAL, &none, nullptr);
    sigaction(SIGALRM, &before_, nullptr);
  }
  alarm_storm(const alarm_storm&) = delete;
  alarm_storm& operator=(const alarm_storm&) = delete;
  static std::atomic<int>& rung() {
    static std::atomic<int> times{0};
    return times;
  }

 private:
  struct sigaction before_ {};
};

}  // namespace

TEST_CASE("P6: a SIGINT to the group is the parent's to handle, however often it comes: no worker minds", "[no_tsan]") {
  shared_counters started(1);
  shared_counters handled(1);
  static shared_counters* heard = nullptr;
  heard = &handled;
  disposable_parent parent([&] {
    signal(SIGINT, [](int) { ++(*heard)[0]; });
    invoker inv(
        0,
        [&](int, int x) {
          ++started[0];
          raise(SIGINT);
          std::this_thread::sleep_for(5ms);
          return getpgrp() == getpid() ? x : -1;
        },
        on(processes));
    int next = 0;
    for (const int result : inv.map(std::views::iota(0, 100))) {
      if (result != next++) _exit(1);
    }
    _exit(next == 100 ? 0 : 2);
  });
  for (int press = 1; press <= 3; ++press) {
    wait_for(started[0], 8 * press);
    parent.send_to_group(SIGINT);
    wait_for(handled[0], press);
  }
  CHECK(parent.wait() == 0);
  CHECK(handled[0] == 3);
}

TEST_CASE("P6: a parent that a SIGINT ends takes its workers along", "[no_tsan]") {
  shared_counters started(1);
  disposable_parent parent([&] {
    invoker inv(
        0,
        [&](int, int) {
          ++started[0];
          std::this_thread::sleep_for(300s);
        },
        on(processes));
    std::ignore = inv.map(std::views::iota(0, 4)).collect();
  });
  wait_for(started[0], 2);
  parent.send_to_group(SIGINT);
  const int status = parent.wait();
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGINT);
  CHECK(parent.leaves_nothing(1s));
}

TEST_CASE("P6: ^C at a terminal reaches a program that stops its map, within two seconds", "[no_tsan]") {
  const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE(master >= 0);
  REQUIRE(grantpt(master) == 0);
  REQUIRE(unlockpt(master) == 0);
  const std::string terminal = ptsname(master);
  shared_counters started(1);
  std::fflush(nullptr);
  const pid_t program = fork();
  REQUIRE(program >= 0);
  if (program == 0) {
    for (const int number : {SIGABRT, SIGSEGV, SIGTERM, SIGINT}) signal(number, SIG_DFL);
    setsid();
    const int slave = open(terminal.c_str(), O_RDWR | O_CLOEXEC);  // the session's terminal from now on
    _exit(slave >= 0 && stops_at_interrupt(started) ? 0 : 1);
  }
  wait_for(started[0], 2);
  REQUIRE(write(master, "\x03", 1) == 1);
  int status = -1;
  CHECK(waitpid(program, &status, 0) == program);
  CHECK(status == 0);
  close(master);
}

TEST_CASE("P9: a worker that dies while it is written to does not kill a parent with the default SIGPIPE",
          "[no_tsan]") {
  CHECK(holds_in_child([] {
    signal(SIGPIPE, SIG_DFL);
    const auto before = signal_state::now();
    bool during = true;
    std::size_t deaths = 0;
    {
      auto options = on(processes);
      options.chunk_size = 1;
      invoker inv(
          0,
          [](int, const std::string& text) {
            if (text.back() == 'x') raise(SIGKILL);
            return text.size();
          },
          options);
      during = signal_state::now() == before;
      std::vector<std::string> inputs(20, std::string(std::size_t{4} << 20, 'a'));
      for (std::size_t i = 0; i < inputs.size(); i += 4) inputs[i].back() = 'x';
      for (const auto& each : inv.map_outcomes(inputs)) deaths += each.has_error();
      during = during && signal_state::now() == before;
    }
    return deaths == 5 && during && signal_state::now() == before;
  }));
}

TEST_CASE("P9: handlers, ignored signals and the mask of the host stay as they were", "[no_tsan]") {
  CHECK(holds_in_child([] {
    static constexpr auto of_the_host = +[](int) {};
    for (const int number : {SIGCHLD, SIGPIPE, SIGINT, SIGUSR1, SIGALRM}) signal(number, of_the_host);
    signal(SIGHUP, SIG_IGN);
    sigset_t some;
    sigemptyset(&some);
    sigaddset(&some, SIGUSR2);
    sigaddset(&some, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &some, nullptr);
    const auto before = signal_state::now();
    bool clean = false;
    {
      invoker inv(
          0,
          [](int, int x) {
            sigset_t mask;
            pthread_sigmask(SIG_SETMASK, nullptr, &mask);
            struct sigaction hup {};
            struct sigaction usr1 {};
            sigaction(SIGHUP, nullptr, &hup);
            sigaction(SIGUSR1, nullptr, &usr1);
            if (x == 5) raise(SIGKILL);
            return sigismember(&mask, SIGTERM) == 0 && hup.sa_handler == SIG_IGN && usr1.sa_handler != of_the_host;
          },
          on(processes));
      const auto outcomes = inv.map_outcomes(std::views::iota(0, 10)).collect();
      clean = std::ranges::count_if(outcomes, [](const auto& each) { return each && *each; }) == 9;
    }
    lenskit::run_sp([] {});
    return clean && signal_state::now() == before;
  }));
}

TEST_CASE("P10: calls that are interrupted every other time and move one byte at a time change nothing", "[no_tsan]") {
  const std::size_t most = GENERATE(1U, 3U, 1000U);
  const lenskit::tests::fresh_loggers loggers;
  static constexpr std::array interruptible{
      call::read,       call::write,  call::pread, call::pwrite, call::sendmsg,   call::recvmsg,  call::poll,
      call::epoll_wait, call::waitid, call::open,  call::openat, call::fallocate, call::ftruncate};
  std::atomic<unsigned> calls{0};
  const call_faults trouble(
      [&](call which) {
        const bool may_be = std::ranges::find(interruptible, which) != interruptible.end();
        return may_be && calls++ % 2 == 0 ? EINTR : 0;
      },
      [&](call, std::size_t bytes) {
        // The spawner's messages are packets: the kernel does not cut them.
        return bytes == sizeof(lenskit::detail::control_message) ? bytes : std::min(bytes, most);
      });
  constexpr int n_tasks = 40;
  const lenskit::shared_array<int> model(std::vector<int>(1000, 3));
  invoker inv(
      model,
      [](const lenskit::shared_array<int>& m, const std::string& text) {
        if (text.size() == 7) raise(SIGKILL);
        spdlog::info("a task with {} letters", text.size());
        return text + std::string(static_cast<std::size_t>(m[999]), 'z');
      },
      on(processes));
  std::vector<std::string> inputs;
  for (std::size_t i = 0; i < n_tasks; ++i) inputs.emplace_back(i, 'x');
  std::size_t index = 0;
  for (const auto& each : inv.map_outcomes(inputs)) {
    INFO("index " << index);
    REQUIRE(each.has_value() == (index != 7));
    if (each.has_value()) REQUIRE(*each == inputs[index] + "zzz");
    ++index;
  }
  CHECK(index == n_tasks);
  CHECK(loggers.sink->texts().size() == n_tasks - 1);
}

TEST_CASE("P10: a thousand signals a second, to the parent and to each worker, change nothing", "[no_tsan]") {
  CHECK(holds_in_child([] {
    const alarm_storm storm;
    invoker inv(
        0,
        [](int, const std::string& text) {
          static const alarm_storm in_worker;
          const auto until = std::chrono::steady_clock::now() + 2ms;
          while (std::chrono::steady_clock::now() < until) {}
          if (text.size() % 50 == 17) raise(SIGKILL);
          return std::string(text.size() * 3000, text.back());
        },
        on(processes));
    std::vector<std::string> inputs;
    for (std::size_t i = 1; i <= 200; ++i) inputs.emplace_back(i, static_cast<char>('a' + i % 26));
    std::size_t index = 0;
    for (const auto& each : inv.map_outcomes(inputs)) {
      const auto& text = inputs[index++];
      if (each.has_value() != (text.size() % 50 != 17)) return false;
      if (each.has_value() && *each != std::string(text.size() * 3000, text.back())) return false;
    }
    return index == inputs.size() && alarm_storm::rung() > 100;
  }));
}

#endif
