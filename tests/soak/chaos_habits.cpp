// Tasks that treat their worker badly and answer all the same, and tasks that do not come to an end.
#include "chaos_dice.hpp"
#include "chaos_faults.hpp"

#include <lenskit/invoker.hpp>
#include <lenskit/run_sp.hpp>

#include <spdlog/spdlog.h>

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <ranges>
#include <thread>

namespace lenskit::soak::chaos {
namespace {

using namespace std::chrono_literals;

[[noreturn]] void sleep_for_ever() {
  for (;;) ::pause();
}

void block_all_signals() {
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
}

// A child of the task that ends at once.
template <class What>
void fork_and(What what) {
  const pid_t child = ::fork();
  if (child == 0) what();
  if (child > 0) ::waitpid(child, nullptr, 0);
}

// What a task expects of something that it calls itself.
void demand(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

void nest(engine where, int n_jobs, bool with_a_death) {
  invoker inner(0,
                [=](int, int x) {
                  if (with_a_death && x == 3) ::_exit(1);
                  return x * x;
                },
                {.n_jobs = n_jobs, .engine = where});
  int seen = 0;
  for (auto& each : inner.map_outcomes(std::views::iota(0, 8))) {
    demand(each.has_value() == !(with_a_death && seen == 3), "a nested map lost a task or saved a dead one");
    demand(!each || *each == seen * seen, "a nested map gave a wrong result");
    ++seen;
  }
  demand(seen == 8, "a nested map ended early");
}

void close_pipes() {
  struct ::stat about {};
  for (int fd = 3; fd < 256; ++fd) {
    if (::fstat(fd, &about) == 0 && S_ISFIFO(about.st_mode)) ::close(fd);
  }
}

void scribble_on_pipes(std::size_t bytes) {
  struct ::stat about {};
  const auto noise = filler(bytes, bytes);
  for (int fd = 3; fd < 256; ++fd) {
    if (::fstat(fd, &about) == 0 && S_ISFIFO(about.st_mode)) std::ignore = ::write(fd, noise.data(), noise.size());
  }
}

void shrink_buffers() {
  constexpr int small = 4096;
  for (int fd = 3; fd < 256; ++fd) {
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  }
}

void limit(__rlimit_resource what, rlim_t to) {
  rlimit now{};
  ::getrlimit(what, &now);
  now.rlim_cur = to;
  ::setrlimit(what, &now);
}

// Memory up to a limit that is close, as long as there is any.
[[maybe_unused]] void eat_memory() {
  rlimit before{};
  ::getrlimit(RLIMIT_AS, &before);
  rlim_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  constexpr rlim_t left = rlim_t{16} << 20;
  limit(RLIMIT_AS, pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + left);
  std::vector<std::string> eaten;
  try {
    for (;;) eaten.emplace_back(std::size_t{1} << 20, 'x');
  } catch (const std::bad_alloc&) {
    eaten.clear();
    ::setrlimit(RLIMIT_AS, &before);
    throw;
  }
}

}  // namespace

void undo_habits() {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGTERM, SIGSEGV, SIGABRT, SIGCHLD}) {
    struct sigaction now {};
    if (::sigaction(number, nullptr, &now) == 0 && now.sa_handler == SIG_IGN) ::signal(number, SIG_DFL);
  }
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  constexpr rlim_t usual = 1024;
  limit(RLIMIT_NOFILE, std::min(usual, files.rlim_max));
  ::unsetenv("LK_NUM_PROCS");
  ::unsetenv("LK_TEMP_DIR");
}

std::vector<task_fault> habits() {
  return {
      {"stdio closed", answers(), [](task_context&) { ::close_range(0, 2, 0); }},
      {"printf without flush", answers(), [](task_context&) { std::printf("left in the buffer"); }},
      {"signals blocked", answers(), [](task_context&) { block_all_signals(); }},
      {"signals ignored", answers(),
       [](task_context&) {
         for (const int number : {SIGTERM, SIGINT, SIGPIPE, SIGCHLD, SIGSEGV}) ::signal(number, SIG_IGN);
       }},
      {"SIGINT", answers(), [](task_context&) { ::raise(SIGINT); }},
      {"directory changed", answers(), [](task_context&) { std::ignore = ::chdir("/proc"); }},
      {"umask of 0777", answers(), [](task_context&) { ::umask(0777); }},
      {"environment changed", answers(),
       [](task_context&) {
         ::setenv("LK_NUM_PROCS", "chaos", 1);
         ::setenv("LK_TEMP_DIR", "/nonexistent", 1);
         ::unsetenv("HOME");
       }},
      {"locale changed", answers(), [](task_context&) { std::setlocale(LC_ALL, "C.UTF-8"); }},
      {"child that ends at once", answers(), [](task_context&) { fork_and([] { ::_exit(1); }); }},
      {"child that calls exit", answers(), [](task_context&) { fork_and([] { std::exit(3); }); }},
      {"child that crashes", answers(), [](task_context&) { fork_and([] { ::raise(SIGSEGV); }); }},
      {"child that returns from the task", answers(), [](task_context&) { fork_and([] {}); }},
      {"child that throws", answers(),
       [](task_context&) { fork_and([] { throw std::runtime_error("in the wrong process"); }); }},
      {"child left running", answers(),
       [](task_context&) {
         if (::fork() == 0) sleep_for_ever();
       }},
      {"thread left running", answers(),
       [](task_context&) { std::thread([] { std::this_thread::sleep_for(20ms); }).detach(); }},
      {"waitpid(-1) in the worker", answers(), [](task_context&) { ::waitpid(-1, nullptr, WNOHANG); }},
      {"no descriptors to be had", answers(), [](task_context&) { limit(RLIMIT_NOFILE, 0); }},
      {"tiny socket buffers", answers(), [](task_context&) { shrink_buffers(); }},
      {"loggers flushed", answers(), [](task_context&) { spdlog::apply_all([](const auto& each) { each->flush(); }); }},
      {"log storm", answers(),
       [](task_context& context) {
         for (std::uint32_t i = 0; i < 400; ++i)
           log_record(context.what, context.attempt, 0, context.what.records + i, 80);
       }},
      {"large log record", answers(),
       [](task_context& context) { log_record(context.what, context.attempt, 0, context.what.records, 300'000); }},
      {"logs from threads", answers(),
       [](task_context& context) {
         std::thread other([&] {
           for (std::uint32_t i = 0; i < 30; ++i) log_record(context.what, context.attempt, 1, i, 5000);
         });
         for (std::uint32_t i = 0; i < 30; ++i)
           log_record(context.what, context.attempt, 0, context.what.records + i, 5000);
         other.join();
       }},
      {.name = "log pipe closed", .fate = answers(), .strike = [](task_context&) { close_pipes(); }, .muffles = true},
      {.name = "garbage in the log pipe",
       .fate = answers(),
       .strike = [](task_context& context) { scribble_on_pipes(1 + context.what.salt % 3000); },
       .muffles = true},
      {.name = "all descriptors closed",
       .fate = answers_or_dies(),
       .strike =
           [](task_context&) {
             ++the_board().strays;  // it may be at another task when the parent notices
             ::close_range(3, ~0U, 0);
           },
       .muffles = true},
#ifndef __SANITIZE_ADDRESS__
      {"memory eaten up to a limit", throws("std::bad_alloc"), [](task_context&) { eat_memory(); }},
#endif
      {"nested invoker in the process", answers(), [](task_context&) { nest(engine::automatic, 1, false); }},
      {.name = "nested invoker with a death",
       .fate = answers(),
       .strike = [](task_context&) { nest(engine::processes, 2, true); },
       .rarity = 8},
      {.name = "nested threads",
       .fate = answers(),
       .strike = [](task_context&) { nest(engine::threads, 2, false); },
       .rarity = 2},
      {.name = "subprocess that dies",
       .fate = throws("lenskit::worker_died"),
       .strike = [](task_context&) { run_sp([] { ::_exit(4); }); },
       .rarity = 8},
      {.name = "subprocess that answers",
       .fate = answers(),
       .strike = [](task_context&) { demand(run_sp([] { return 5; }) == 5, "run_sp gave a wrong result"); },
       .rarity = 8},
      {"a pause", answers(),
       [](task_context& context) { std::this_thread::sleep_for(std::chrono::microseconds(context.what.salt % 3000)); }},
  };
}

// For runs whose tasks have a deadline.
std::vector<task_fault> hangs() {
  return {
      {.name = "sleep beyond the deadline", .fate = late(), .strike = [](task_context&) { sleep_for_ever(); }},
      {.name = "busy beyond the deadline",
       .fate = late(),
       .strike =
           [](task_context&) {
             for (volatile bool forever = true; forever;) {}
           }},
      {.name = "stopped",
       .fate = late(),
       .strike =
           [](task_context&) {
             for (;;) ::raise(SIGSTOP);  // a blow from outside may continue it
           }},
      {.name = "hangs, SIGTERM ignored",
       .fate = late(),
       .strike =
           [](task_context&) {
             ::signal(SIGTERM, SIG_IGN);
             sleep_for_ever();
           }},
      {.name = "hangs, signals blocked",
       .fate = late(),
       .strike =
           [](task_context&) {
             block_all_signals();
             sleep_for_ever();
           }},
      {.name = "hangs with a grandchild",
       .fate = late(),
       .strike =
           [](task_context&) {
             if (::fork() == 0) sleep_for_ever();
             sleep_for_ever();
           }},
      {.name = "hangs after a log storm",
       .fate = late(),
       .strike =
           [](task_context& context) {
             for (std::uint32_t i = 0; i < 200; ++i)
               log_record(context.what, context.attempt, 0, context.what.records + i, 40);
             sleep_for_ever();
           }},
      {.name = "close to the deadline",
       .fate = answers_or_is_late(),
       .strike =
           [](task_context& context) {
             ++the_board().reruns;  // what comes too late for this task hits the next one
             std::this_thread::sleep_for(task_deadline - 5ms + std::chrono::microseconds(context.what.salt % 10'000));
           }},
  };
}

}  // namespace lenskit::soak::chaos
