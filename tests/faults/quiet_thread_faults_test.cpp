// H5: threads of the library take none of the program's signals.
#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/in_child.hpp>

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <sys/signalfd.h>

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <ranges>
#include <thread>
#include <tuple>

using lenskit::invoker;
using lenskit::tests::holds_in_child;
using lenskit::tests::on;
using namespace std::chrono_literals;

namespace {

const std::initializer_list<int> asynchronous{SIGHUP,  SIGINT,  SIGQUIT, SIGUSR1, SIGUSR2,  SIGPIPE, SIGALRM,
                                              SIGTERM, SIGCHLD, SIGCONT, SIGTSTP, SIGWINCH, SIGXFSZ, SIGIO};

sigset_t mask_of_this_thread() {
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  return mask;
}

bool blocks_all(const sigset_t& mask) {
  for (const int number : asynchronous) {
    if (sigismember(&mask, number) != 1) return false;
  }
  return true;
}

sigset_t only(int number) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  return set;
}

// Makes and uses a pool, then waits for a signal as a service does: blocked in all threads that the program has made.
template <class Wait>
bool is_waited_for(lenskit::engine engine, Wait wait) {
  return holds_in_child([&] {
    invoker inv(
        0, [](int, int x) { return x; }, on(engine));
    if (inv.map(std::views::iota(0, 3)).collect().size() != 3) return false;
    const auto term = only(SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, nullptr);
    return wait(term);
  });
}

}  // namespace

TEST_CASE("H5: a program that waits for SIGTERM with sigwait or signalfd gets it beside a pool") {
  ON_EVERY_ENGINE(engine);
  CHECK(is_waited_for(engine, [](const sigset_t& term) {
    kill(getpid(), SIGTERM);
    const timespec limit{5, 0};
    return sigtimedwait(&term, nullptr, &limit) == SIGTERM;
  }));
  CHECK(is_waited_for(engine, [](const sigset_t& term) {
    const int fd = signalfd(-1, &term, SFD_CLOEXEC);
    kill(getpid(), SIGTERM);
    signalfd_siginfo told{};
    const bool right = read(fd, &told, sizeof told) == sizeof told && told.ssi_signo == SIGTERM;
    close(fd);
    return right;
  }));
}

TEST_CASE("H5: a handler runs on threads of the program only, whatever its tasks do meanwhile") {
  ON_ENGINES_WITH_WORKERS(engine);
  static std::atomic<int> at_home = 0;
  static std::atomic<int> elsewhere = 0;
  static std::atomic<pid_t> home = 0;
  CHECK(holds_in_child([&] {
    home = gettid();
    signal(SIGUSR1, [](int) { ++(gettid() == home ? at_home : elsewhere); });
    invoker inv(
        0,
        [](int, int) {
          const auto until = std::chrono::steady_clock::now() + 2ms;
          while (std::chrono::steady_clock::now() < until) continue;
        },
        on(engine));
    int sent = 0;
    for ([[maybe_unused]] const auto done : inv.map(std::views::iota(0, 60))) {
      kill(getpid(), SIGUSR1);
      ++sent;
    }
    return sent == 60 && at_home > 0 && elsewhere == 0;
  }));
}

TEST_CASE("H5: a task in a thread has the program's signals blocked, but those of its own faults and of profilers") {
  const auto before = mask_of_this_thread();
  std::atomic<bool> right = false;
  invoker in_threads(
      0,
      [&](int, int) {
        const auto mask = mask_of_this_thread();
        bool own = true;
        for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGPROF})
          own = own && sigismember(&mask, number) == 0;
        right = own && blocks_all(mask);
      },
      on(lenskit::engine::threads));
  std::ignore = in_threads.map(std::views::iota(0, 1)).collect();
  CHECK(right);
  const auto after = mask_of_this_thread();
  CHECK(sigismember(&before, SIGTERM) == sigismember(&after, SIGTERM));
}

#ifndef __SANITIZE_THREAD__
TEST_CASE("H5: the threads that flush the program's logs and pass on those of workers take no signals", "[no_tsan]") {
  struct watching_sink final : spdlog::sinks::base_sink<std::mutex> {
    void sink_it_(const spdlog::details::log_msg&) override { note(); }
    void flush_() override { note(); }
    void note() {
      if (gettid() == program) return;
      ++seen;
      if (!blocks_all(mask_of_this_thread())) ++open;
    }
    pid_t program = gettid();
    std::atomic<int> seen = 0;
    std::atomic<int> open = 0;
  };
  CHECK(holds_in_child([] {
    const auto sink = std::make_shared<watching_sink>();
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("watched", sink));
    {
      invoker inv(
          0,
          [](int, int) {
            spdlog::info("a line");
            std::this_thread::sleep_for(5ms);
          },
          on(lenskit::engine::processes));
      auto results = inv.map(std::views::iota(0, 20));
      auto at = results.begin();
      std::this_thread::sleep_for(100ms);  // nobody leads: the attendant does
      for (; at != results.end(); ++at) continue;
    }
    return sink->seen > 1 && sink->open == 0;
  }));
}
#endif
