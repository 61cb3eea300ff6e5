#include <lenskit/detail/os/signals.hpp>
#include <lenskit/detail/os/system.hpp>

#include <pthread.h>
#include <signal.h>

#include <cerrno>
#include <cstring>

namespace lenskit::detail {
namespace {

sigset_t only(int signal) noexcept {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, signal);
  return set;
}

}  // namespace

quiet_start::quiet_start(thread_role role) noexcept {
  static_assert(sizeof(sigset_t) <= sizeof saved_);
  sigset_t quiet;
  sigset_t before;
  ::sigfillset(&quiet);
  // The kernel ends a program that faults while it blocks the signal, whatever handler it has.
  for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) ::sigdelset(&quiet, own);
  if (role == thread_role::tasks) ::sigdelset(&quiet, SIGPROF);
  ::pthread_sigmask(SIG_BLOCK, &quiet, &before);
  std::memcpy(saved_, &before, sizeof before);
}

quiet_start::~quiet_start() {
  sigset_t before;
  std::memcpy(&before, saved_, sizeof before);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

file_limit_shield::file_limit_shield() noexcept : active_(sys::file_size_limit() != sys::no_limit) {
  if (!active_) return;
  sigset_t pending;
  sigset_t before;
  const auto exceeded = only(SIGXFSZ);
  ::sigpending(&pending);
  ::pthread_sigmask(SIG_BLOCK, &exceeded, &before);
  pending_ = ::sigismember(&pending, SIGXFSZ) == 1;
  blocked_ = ::sigismember(&before, SIGXFSZ) == 1;
}

file_limit_shield::~file_limit_shield() {
  if (!active_) return;
  const int error = errno;
  const auto exceeded = only(SIGXFSZ);
  const timespec at_once{0, 0};
  if (!pending_) ::sigtimedwait(&exceeded, nullptr, &at_once);
  if (!blocked_) ::pthread_sigmask(SIG_UNBLOCK, &exceeded, nullptr);
  errno = error;
}

}  // namespace lenskit::detail
