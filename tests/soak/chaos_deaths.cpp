// Ways for a worker to die with a task in hand.
#include "chaos_dice.hpp"
#include "chaos_faults.hpp"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>

namespace lenskit::soak::chaos {
namespace {

using namespace std::chrono_literals;

// The sanitizers make an exit code of their own of a crash.
#ifdef __SANITIZE_ADDRESS__
constexpr fate crashes_by(int) { return dies(); }
#else
constexpr fate crashes_by(int signal) { return killed_by(signal); }
#endif

int overflow_stack(int depth) {
  volatile char room[4096];
  room[0] = static_cast<char>(depth);
  if (depth < 0) return room[0];  // never, but the compiler does not know
  return overflow_stack(depth + 1) + room[0];
}

[[noreturn]] void sleep_for_ever() {
  for (;;) ::pause();
}

// Until the parent notices. It cannot where a child of an earlier task holds the other end of everything.
[[noreturn]] void await_the_end() {
  std::this_thread::sleep_for(200ms);
  ::_exit(1);
}

// Another thread does it while the task goes about its work.
template <class What>
void in_another_thread(What what) {
  std::thread(what).detach();
  sleep_for_ever();
}

void log_then(task_context& context, std::uint32_t records, std::size_t bytes) {
  for (std::uint32_t i = 0; i < records; ++i)
    log_record(context.what, context.attempt, 0, context.what.records + i, bytes);
}

void log_from_threads(task_context& context) {
  constexpr std::uint32_t threads = 3, records = 20;
  std::vector<std::thread> all;
  for (std::uint32_t t = 1; t <= threads; ++t) {
    all.emplace_back([&context, t] {
      for (std::uint32_t i = 0; i < records; ++i) log_record(context.what, context.attempt, t, i, 100);
    });
  }
  for (auto& each : all) each.join();
}

// The sockets of this process: in a worker, its connection.
void scribble_on_sockets(const void* bytes, std::size_t count) {
  struct ::stat about {};
  for (int fd = 3; fd < 256; ++fd) {
    if (::fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode)) std::ignore = ::write(fd, bytes, count);
  }
}

void scribble(task_context& context) {
  const auto noise = filler(100 + context.what.salt % 5000, context.what.salt);
  scribble_on_sockets(noise.data(), noise.size());
}

void leave_grandchild_holding_everything() {
  if (::fork() == 0) sleep_for_ever();
}

}  // namespace

std::vector<task_fault> deadly_faults() {
  return {
      {"SIGSEGV", crashes_by(SIGSEGV), [](task_context&) { ::raise(SIGSEGV); }},
      {"SIGBUS", crashes_by(SIGBUS), [](task_context&) { ::raise(SIGBUS); }},
      {"SIGFPE", crashes_by(SIGFPE), [](task_context&) { ::raise(SIGFPE); }},
      {"SIGILL", crashes_by(SIGILL), [](task_context&) { ::raise(SIGILL); }},
      {"SIGABRT", crashes_by(SIGABRT), [](task_context&) { std::abort(); }},
      {"SIGKILL", killed_by(SIGKILL), [](task_context&) { ::raise(SIGKILL); }},
      {"SIGTERM", killed_by(SIGTERM), [](task_context&) { ::raise(SIGTERM); }},
      {"SIGHUP", killed_by(SIGHUP), [](task_context&) { ::raise(SIGHUP); }},
      {"SIGALRM", killed_by(SIGALRM), [](task_context&) { ::raise(SIGALRM); }},
      {"SIGUSR2", killed_by(SIGUSR2), [](task_context&) { ::raise(SIGUSR2); }},
      {"SIGKILL to its group", killed_by(SIGKILL), [](task_context&) { ::kill(0, SIGKILL); }},
      {"_exit(0)", exits_with(0), [](task_context&) { ::_exit(0); }},
      {"_exit(3)", exits_with(3), [](task_context&) { ::_exit(3); }},
      {"_exit(255)", exits_with(255), [](task_context&) { ::_exit(255); }},
      {"exit(0)", exits_with(0), [](task_context&) { std::exit(0); }},
      {"exit(7)", exits_with(7), [](task_context&) { std::exit(7); }},
      {"quick_exit", exits_with(0), [](task_context&) { std::quick_exit(4); }},
      {"_Exit(9)", exits_with(9), [](task_context&) { std::_Exit(9); }},
      {"exit of the thread alone", dies(), [](task_context&) { ::syscall(SYS_exit, 5); }},
      {"std::terminate", crashes_by(SIGABRT), [](task_context&) { std::terminate(); }},
      {"throw in noexcept", crashes_by(SIGABRT),
       [](task_context&) { []() noexcept { std::ignore = std::vector<int>().at(1); }(); }},
      {"uncaught in another thread", crashes_by(SIGABRT),
       [](task_context&) { in_another_thread([] { throw std::runtime_error("nobody catches this"); }); }},
      {"stack overflow", crashes_by(SIGSEGV), [](task_context&) { overflow_stack(0); }},
      {"_exit in another thread", exits_with(6), [](task_context&) { in_another_thread([] { ::_exit(6); }); }},
      {"crash in another thread", crashes_by(SIGSEGV),
       [](task_context&) { in_another_thread([] { ::raise(SIGSEGV); }); }},
      {"death soon, from another thread", answers_or_dies(),
       [](task_context& context) {
         std::thread([wait = std::chrono::microseconds(context.what.salt % 3000)] {
           std::this_thread::sleep_for(wait);
           ::_exit(1);
         }).detach();
         std::this_thread::sleep_for(4ms);
         ++the_board().strays;  // it may live on a little
       }},
      {"abort with its signal ignored", crashes_by(SIGABRT),
       [](task_context&) {
         ::signal(SIGABRT, SIG_IGN);
         std::abort();
       }},
      {"log storm, then death", killed_by(SIGKILL),
       [](task_context& context) {
         log_then(context, 300, 60);
         ::raise(SIGKILL);
       }},
      {"large log record, then death", killed_by(SIGKILL),
       [](task_context& context) {
         log_then(context, 1, 300'000);
         ::raise(SIGKILL);
       }},
      {"logs from threads, then death", exits_with(2),
       [](task_context& context) {
         log_from_threads(context);
         ::_exit(2);
       }},
      {"printf without flush, then death", exits_with(1),
       [](task_context&) {
         std::printf("never seen");
         ::_exit(1);
       }},
      {"grandchild that holds everything, then death", killed_by(SIGKILL),
       [](task_context&) {
         leave_grandchild_holding_everything();
         ::raise(SIGKILL);
       }},
      {"write to the model", crashes_by(SIGSEGV),
       [](task_context& context) {
         auto* page =
             reinterpret_cast<volatile std::uint32_t*>(const_cast<std::uint32_t*>(context.numbers.numbers.data()));
         *page = 1;
         ::raise(SIGSEGV);  // a model that is inherited is the worker's own copy
       }},
      {"all descriptors closed, then a pause", dies(),
       [](task_context&) {
         ::close_range(3, ~0U, 0);
         await_the_end();
       }},
      {"garbage in the connection, then a pause", dies(),
       [](task_context& context) {
         scribble(context);
         await_the_end();
       }},
      {"garbage in the connection", answers_or_dies(),
       [](task_context& context) {
         ++the_board().strays;  // it may be at another task when it is found out
         ++the_board().reruns;  // and what it says in the meantime is not believed
         scribble(context);
       }},
      {"zeros in the connection, then a pause", dies(),
       [](task_context&) {
         const char zeros[64]{};
         scribble_on_sockets(zeros, sizeof zeros);
         await_the_end();
       }},
      {"connection shut down, then a pause", dies(),
       [](task_context&) {
         for (int fd = 3; fd < 256; ++fd) ::shutdown(fd, SHUT_RDWR);
         await_the_end();
       }},
      {"unmapped page", crashes_by(SIGSEGV),
       [](task_context&) {
         auto* page = static_cast<volatile char*>(::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
         *page = 1;
       }},
  };
}

}  // namespace lenskit::soak::chaos
