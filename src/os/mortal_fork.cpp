#include "held_locks.hpp"

#include <lenskit/detail/os/child.hpp>
#include <lenskit/detail/os/system.hpp>

#include <sys/prctl.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif
#include <sys/syscall.h>
#include <sys/time.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace lenskit::detail {
namespace {

// The fork of the library that is under way. Other threads of the host may fork at the same time: what tells their
// children from ours is the thread, whose handle is the same in the child.
constinit std::atomic<bool> under_way{false};
constinit std::atomic<pid_t> forked_by{-1};
pthread_t forking_thread{};

bool is_ours() noexcept { return under_way.load() && ::pthread_equal(forking_thread, ::pthread_self()) != 0; }

void before_fork() noexcept {
  if (is_ours()) take_held_locks();
}

void behind_fork() noexcept {
  if (is_ours()) release_held_locks();
}

// The thread that forked waits for the child to come up, so the end of the thread is the end of the process.
void make_mortal() noexcept {
  if (!is_ours()) return;
  free_held_locks();
  under_way = false;
  sys::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != forked_by.load()) ::_exit(1);
}

// What is registered first runs last before a fork and first behind it, and the program's own initialisers may register
// some.
[[gnu::constructor(101)]] void watch_forks() noexcept { ::pthread_atfork(before_fork, behind_fork, make_mortal); }

struct sigaction before_watchdog {};
volatile int watched_parent = -1;

void bark(int) {
  const int before = errno;
  pollfd parent{watched_parent, POLLIN, 0};
  if (::poll(&parent, 1, 0) > 0) ::_exit(1);
  errno = before;
}

struct continuation {
  void (*body)(void*);
  void* argument;
  stack_t signal_stack;
};

// The kernel forgets where a process that shares memory keeps its restartable sequences. Without them sched_getcpu, and
// allocators that go by processors, would be told for ever what was right last, in the workers too.
void register_sequences() noexcept {
#if __has_include(<sys/rseq.h>)
  if (__rseq_size == 0) return;
  constexpr unsigned least = 32;  // the size of the first version, which later ones may not go below
  auto* const area = static_cast<char*>(__builtin_thread_pointer()) + __rseq_offset;
  ::syscall(SYS_rseq, area, std::max(least, __rseq_size), 0, RSEQ_SIG);
#endif
}

int go_on(void* with) {
  const auto& how = *static_cast<const continuation*>(with);
  ::sigaltstack(&how.signal_stack, nullptr);  // the kernel takes it away from what shares memory
  register_sequences();
  sys::setpgid(0, 0);
  how.body(how.argument);
  ::_exit(0);
}

}  // namespace

pid_t fork_mortal() noexcept {
  forking_thread = ::pthread_self();
  forked_by = ::getpid();
  under_way = true;
  const pid_t pid = sys::fork();
  const int error = errno;
  under_way = false;
  errno = error;
  return pid;
}

void outlive_parent_thread() noexcept { sys::prctl(PR_SET_PDEATHSIG, 0); }

[[gnu::noinline]] void continue_as_orphan(void (*body)(void*), void* argument) noexcept {
  static continuation how;  // behind the stack that this process still uses
  how = {body, argument, {}};
  ::sigaltstack(nullptr, &how.signal_stack);
  // The other process goes on below what this one needs for its last two calls. There are no frames above to return to.
  constexpr std::uintptr_t last_calls = 8192;
  constexpr std::uintptr_t alignment = 64;
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  auto* const stack = reinterpret_cast<void*>((here - last_calls) & ~(alignment - 1));  // NOLINT
  // Or the end of this process would write to the memory that the other one goes on to use.
  ::syscall(SYS_set_tid_address, nullptr);
  if (sys::clone_in_place(go_on, stack, &how) > 0) ::syscall(SYS_exit_group, 0);
}

fork_watchdog::fork_watchdog(int parent) noexcept {
  watched_parent = parent;
  struct sigaction action {};
  action.sa_handler = bark;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGALRM, &action, &before_watchdog);
  sigset_t alarm;
  ::sigemptyset(&alarm);
  ::sigaddset(&alarm, SIGALRM);
  ::pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
  constexpr itimerval each_300_ms{{0, 300'000}, {0, 300'000}};
  ::setitimer(ITIMER_REAL, &each_300_ms, nullptr);
}

fork_watchdog::~fork_watchdog() {
  constexpr itimerval never{};
  ::setitimer(ITIMER_REAL, &never, nullptr);
  forget();
}

void fork_watchdog::forget() noexcept {
  sigset_t alarm;
  ::sigemptyset(&alarm);
  ::sigaddset(&alarm, SIGALRM);
  ::pthread_sigmask(SIG_BLOCK, &alarm, nullptr);
  ::sigaction(SIGALRM, &before_watchdog, nullptr);
}

}  // namespace lenskit::detail
