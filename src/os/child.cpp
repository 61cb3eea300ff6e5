#include <lenskit/detail/os/child.hpp>
#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/os/output.hpp>
#include <lenskit/detail/os/system.hpp>

#include <sys/prctl.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

// Present only in a build with coverage: what a process that ends by _exit must call, or its counts are lost (F9).
// NOLINTBEGIN(bugprone-reserved-identifier, readability-identifier-naming)
extern "C" void __gcov_dump() __attribute__((weak));
extern "C" int __llvm_profile_write_file() __attribute__((weak));
// NOLINTEND(bugprone-reserved-identifier, readability-identifier-naming)

namespace lenskit::detail {
namespace {

// The host's handlers would run host code in the wrong process. What it ignores stays ignored, but for SIGCHLD, which
// code that waits for its own children needs, and without SA_NOCLDWAIT (P3). SIGINT belongs to the parent: it decides
// what a ^C means (P6). Handlers of faults stay: what a task does may rest on them, as on a page that is filled on
// demand (V6).
void take_back_signal_handlers() noexcept {
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) != 0) continue;
    const bool without_handler = action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN;
    if ((without_handler && number != SIGCHLD) || is_fault(number)) continue;
    struct sigaction plain {};
    plain.sa_handler = SIG_DFL;
    ::sigaction(number, &plain, nullptr);
  }
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGINT, &ignore, nullptr);
  // In a group of its own it is in the background, where a terminal may stop whoever writes (stty tostop). It writes
  // for its parent, which may.
  ::sigaction(SIGTTOU, &ignore, nullptr);
}

// Whose signals this process, a worker, obeys besides its own and the kernel's.
pid_t worker_itself = -1;
pid_t program_of_worker = -1;

bool is_for_the_program(const siginfo_t& info) noexcept {
  const bool sent_by_a_process = info.si_code <= 0;
  const pid_t self = ::getpid();
  if (!sent_by_a_process || self != worker_itself) return false;  // a process that a task has forked is the task's
  return info.si_pid != self && info.si_pid != program_of_worker && info.si_pid != ::getppid();
}

// Does what the default action does, unless the signal came from outside.
void obey_the_program(int number, siginfo_t* info, void*) {
  if (is_for_the_program(*info)) return;
  const int before = errno;
  struct sigaction plain {};
  plain.sa_handler = SIG_DFL;
  ::sigaction(number, &plain, nullptr);
  ::raise(number);  // comes when this handler returns
  errno = before;
}

void leave_on_exit(int code, void*) { leave_child(code); }
void leave_on_quick_exit() { leave_child(EXIT_SUCCESS); }

}  // namespace

void start_child(std::initializer_list<int> keep, const char* name) noexcept {
  take_back_signal_handlers();
  sys::setpgid(0, 0);
  close_inherited(keep);
  drop_inherited_output();
  // Handlers run last registered first, so these two run before any of the host's and end the process.
  ::on_exit(leave_on_exit, nullptr);
  ::at_quick_exit(leave_on_quick_exit);
  sys::prctl(PR_SET_NAME, reinterpret_cast<unsigned long>(name));
}

bool is_fault(int signal) noexcept {
  constexpr int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
  return std::find(std::begin(faults), std::end(faults), signal) != std::end(faults);
}

// Not SIG_IGN, which what a task executes would inherit.
void leave_signals_to(int program) noexcept {
  worker_itself = ::getpid();
  program_of_worker = program;
  for (const int number : {SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) continue;
    action = {};
    action.sa_sigaction = obey_the_program;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    ::sigaction(number, &action, nullptr);
  }
}

void receive_signals() noexcept {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void leave_child(int code) noexcept {
  sys::reach(sys::moment::leaving);
  write_output();
  if (__gcov_dump) __gcov_dump();
  if (__llvm_profile_write_file) __llvm_profile_write_file();
  ::_exit(code);
}

bool die_with_parent(int expected) noexcept {
  sys::prctl(PR_SET_PDEATHSIG, SIGKILL);
  return ::getppid() == expected;
}

void volunteer_for_out_of_memory() noexcept {
  constexpr const char* path = "/proc/self/oom_score_adj";
  constexpr int raise_by = 200;
  constexpr int highest = 1000;
  char text[16] = {};
  const int fd = sys::open(path, O_RDWR);
  if (fd < 0) return;
  if (sys::read(fd, text, sizeof text - 1) > 0) {
    const int raised = std::min(std::atoi(text) + raise_by, highest);
    const int length = std::snprintf(text, sizeof text, "%d", raised);
    sys::pwrite(fd, text, static_cast<std::size_t>(length), 0);
  }
  ::close(fd);
}

signal_shield::signal_shield() noexcept {
  static_assert(sizeof(sigset_t) <= sizeof saved_);
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::memcpy(saved_, &before, sizeof before);
}

signal_shield::~signal_shield() {
  sigset_t before;
  std::memcpy(&before, saved_, sizeof before);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace lenskit::detail
