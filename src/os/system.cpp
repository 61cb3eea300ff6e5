#include <lenskit/detail/os/cancel_shield.hpp>
#include <lenskit/detail/os/system.hpp>

#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>  // renameat
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace lenskit::detail::sys {
namespace {

std::atomic<interceptor*> installed{nullptr};

// Runs `real` unless the installed interceptor wants this call to fail.
template <class Real>
auto guarded(call which, Real&& real) noexcept -> decltype(real()) {
  if (auto* hook = installed.load(std::memory_order_acquire)) [[unlikely]] {
    if (const int error = hook->fail(which)) {
      errno = error;
      return static_cast<decltype(real())>(-1);
    }
  }
  const cancel_shield shield;  // or a thread that is cancelled would leave a function that throws nothing
  return real();
}

std::size_t allowed(call which, std::size_t bytes) noexcept {
  if (auto* hook = installed.load(std::memory_order_acquire)) [[unlikely]]
    return hook->shorten(which, bytes);
  return bytes;
}

// A copy of `message` that moves at most what the interceptor allows: its first parts, the last one cut.
struct shortened {
  static constexpr std::size_t max_parts = 8;
  iovec parts[max_parts];
  msghdr message;

  shortened(call which, const msghdr& whole) noexcept : message(whole) {
    std::size_t total = 0;
    for (std::size_t i = 0; i < whole.msg_iovlen; ++i) total += whole.msg_iov[i].iov_len;
    std::size_t left = allowed(which, total);
    if (left >= total || whole.msg_iovlen > max_parts) return;
    std::size_t used = 0;
    for (; used < whole.msg_iovlen && left > 0; ++used) {
      parts[used] = whole.msg_iov[used];
      if (parts[used].iov_len > left) parts[used].iov_len = left;
      left -= parts[used].iov_len;
    }
    message.msg_iov = parts;
    message.msg_iovlen = used;
  }
};

std::uint64_t limit_on(__rlimit_resource resource) noexcept {
  rlimit limit{};
  return ::getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY ? limit.rlim_cur : no_limit;
}

}  // namespace

void intercept(interceptor* hook) noexcept { installed.store(hook); }

void reach(moment which) {
  if (auto* hook = installed.load(std::memory_order_acquire)) [[unlikely]]
    hook->reach(which);
}

bool interrupted() noexcept { return errno == EINTR; }

bool would_block() noexcept { return errno == EAGAIN || errno == EWOULDBLOCK; }

pid_t fork() noexcept {
  return guarded(call::fork, [] { return ::fork(); });
}

pid_t clone_in_place(int (*body)(void*), void* stack, void* argument) noexcept {
  return guarded(call::clone, [&] { return ::clone(body, stack, CLONE_VM | SIGCHLD, argument); });
}

int socketpair(int type, int (&fds)[2]) noexcept {
  return guarded(call::socketpair, [&] { return ::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds); });
}

int pipe(int (&fds)[2], int flags) noexcept {
  return guarded(call::pipe2, [&] { return ::pipe2(fds, flags | O_CLOEXEC); });
}

int memfd_create(const char* name, unsigned flags) noexcept {
  return guarded(call::memfd_create, [&] { return ::memfd_create(name, flags | MFD_CLOEXEC); });
}

int timerfd() noexcept {
  return guarded(call::timerfd, [] { return ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC); });
}

int timerfd_settime(int fd, std::int64_t nanoseconds) noexcept {
  constexpr std::int64_t second = 1'000'000'000;
  const itimerspec once{{0, 0}, {nanoseconds / second, nanoseconds % second}};
  return guarded(call::timerfd, [&] { return ::timerfd_settime(fd, 0, &once, nullptr); });
}

int signalfd(int signal) noexcept {
  sigset_t only;
  ::sigemptyset(&only);
  ::sigaddset(&only, signal);
  return guarded(call::signalfd, [&] { return ::signalfd(-1, &only, SFD_NONBLOCK | SFD_CLOEXEC); });
}

int membarrier(int command) noexcept {
  return guarded(call::membarrier, [&] { return static_cast<int>(::syscall(SYS_membarrier, command, 0, 0)); });
}

int eventfd() noexcept {
  return guarded(call::eventfd, [] { return ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); });
}

int open(const char* path, int flags, mode_t mode) noexcept {
  return guarded(call::open, [&] { return ::open(path, flags | O_CLOEXEC, mode); });
}

int unlink(const char* path) noexcept {
  return guarded(call::unlink, [&] { return ::unlink(path); });
}

int linkat(int old_dir, const char* old_path, int new_dir, const char* new_path, int flags) noexcept {
  return guarded(call::linkat, [&] { return ::linkat(old_dir, old_path, new_dir, new_path, flags); });
}

int openat(int dir, const char* path, int flags, mode_t mode) noexcept {
  return guarded(call::openat, [&] { return ::openat(dir, path, flags | O_CLOEXEC, mode); });
}

int unlinkat(int dir, const char* path) noexcept {
  return guarded(call::unlinkat, [&] { return ::unlinkat(dir, path, 0); });
}

int renameat(int dir, const char* old_path, const char* new_path) noexcept {
  return guarded(call::renameat, [&] { return ::renameat(dir, old_path, dir, new_path); });
}

int fstat(int fd, struct stat& out) noexcept {
  return guarded(call::fstat, [&] { return ::fstat(fd, &out); });
}

int fchmod(int fd, mode_t mode) noexcept {
  return guarded(call::fchmod, [&] { return ::fchmod(fd, mode); });
}

int fsync(int fd) noexcept {
  return guarded(call::fsync, [&] { return ::fsync(fd); });
}

int flock(int fd, int operation) noexcept {
  return guarded(call::flock, [&] { return ::flock(fd, operation); });
}

int fstatfs(int fd, struct statfs& out) noexcept {
  return guarded(call::fstatfs, [&] { return ::fstatfs(fd, &out); });
}

int fallocate(int fd, off_t offset, off_t bytes) noexcept {
  return guarded(call::fallocate, [&] {
    const int error = ::posix_fallocate(fd, offset, bytes);
    if (error == 0) return 0;
    errno = error;
    return -1;
  });
}

int ftruncate(int fd, off_t bytes) noexcept {
  return guarded(call::ftruncate, [&] { return ::ftruncate(fd, bytes); });
}

int fcntl(int fd, int command, long argument) noexcept {
  return guarded(call::fcntl, [&] { return ::fcntl(fd, command, argument); });
}

int dup(int fd) noexcept {
  return guarded(call::dup, [&] { return ::fcntl(fd, F_DUPFD_CLOEXEC, first_free_descriptor); });
}

int setsockopt(int fd, int level, int option, int value) noexcept {
  return guarded(call::setsockopt, [&] { return ::setsockopt(fd, level, option, &value, sizeof value); });
}

bool permitted(call which) noexcept {
  return guarded(which, [] { return 0; }) == 0;
}

void* mmap(void* where, std::size_t bytes, int protection, int flags, int fd, off_t offset) noexcept {
  if (auto* hook = installed.load(std::memory_order_acquire)) [[unlikely]] {
    if (const int error = hook->fail(call::mmap)) {
      errno = error;
      return MAP_FAILED;
    }
  }
  return ::mmap(where, bytes, protection, flags, fd, offset);
}

int munmap(void* where, std::size_t bytes) noexcept { return ::munmap(where, bytes); }

int mprotect(void* where, std::size_t bytes, int protection) noexcept {
  return guarded(call::mprotect, [&] { return ::mprotect(where, bytes, protection); });
}

int madvise(void* where, std::size_t bytes, int advice) noexcept {
  return guarded(call::madvise, [&] { return ::madvise(where, bytes, advice); });
}

ssize_t read(int fd, void* into, std::size_t bytes) noexcept {
  return guarded(call::read, [&] { return ::read(fd, into, allowed(call::read, bytes)); });
}

ssize_t write(int fd, const void* from, std::size_t bytes) noexcept {
  return guarded(call::write, [&] { return ::write(fd, from, allowed(call::write, bytes)); });
}

ssize_t pread(int fd, void* into, std::size_t bytes, off_t offset) noexcept {
  return guarded(call::pread, [&] { return ::pread(fd, into, allowed(call::pread, bytes), offset); });
}

ssize_t pwrite(int fd, const void* from, std::size_t bytes, off_t offset) noexcept {
  return guarded(call::pwrite, [&] { return ::pwrite(fd, from, allowed(call::pwrite, bytes), offset); });
}

ssize_t sendmsg(int fd, const msghdr& message, int flags) noexcept {
  return guarded(call::sendmsg, [&] {
    if (!installed.load(std::memory_order_acquire)) [[likely]]
      return ::sendmsg(fd, &message, flags | MSG_NOSIGNAL);
    const shortened part(call::sendmsg, message);
    return ::sendmsg(fd, &part.message, flags | MSG_NOSIGNAL);
  });
}

ssize_t recvmsg(int fd, msghdr& message, int flags) noexcept {
  return guarded(call::recvmsg, [&] {
    if (!installed.load(std::memory_order_acquire)) [[likely]]
      return ::recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC);
    shortened part(call::recvmsg, message);
    const ssize_t got = ::recvmsg(fd, &part.message, flags | MSG_CMSG_CLOEXEC);
    message.msg_controllen = part.message.msg_controllen;
    message.msg_flags = part.message.msg_flags;
    return got;
  });
}

int poll(pollfd* fds, std::size_t count, int timeout_ms) noexcept {
  return guarded(call::poll, [&] { return ::poll(fds, count, timeout_ms); });
}

int poll(pollfd* fds, std::size_t count, std::chrono::nanoseconds timeout) noexcept {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(timeout);
  const timespec limit{seconds.count(), (timeout - seconds).count()};
  return guarded(call::poll, [&] { return ::ppoll(fds, count, &limit, nullptr); });
}

int epoll_create() noexcept {
  return guarded(call::epoll_create, [] { return ::epoll_create1(EPOLL_CLOEXEC); });
}

int epoll_ctl(int epoll, int operation, int fd, epoll_event& event) noexcept {
  return guarded(call::epoll_ctl, [&] { return ::epoll_ctl(epoll, operation, fd, &event); });
}

int epoll_wait(int epoll, epoll_event* events, int capacity, int timeout_ms) noexcept {
  return guarded(call::epoll_wait, [&] { return ::epoll_wait(epoll, events, capacity, timeout_ms); });
}

int pidfd_open(pid_t pid) noexcept {
  return guarded(call::pidfd_open, [&] { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); });
}

int pidfd_send_signal(int pidfd, int signal, unsigned flags) noexcept {
  return guarded(call::pidfd_send_signal,
                 [&] { return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, flags)); });
}

int waitid(int pidfd, siginfo_t& info, int options, rusage* usage) noexcept {
  // glibc's wrapper drops the fifth argument, which is where the kernel puts what the process has used.
  constexpr int by_pidfd = 3;  // P_PIDFD
  return guarded(call::waitid,
                 [&] { return static_cast<int>(::syscall(SYS_waitid, by_pidfd, pidfd, &info, options, usage)); });
}

int kill(pid_t pid, int signal) noexcept {
  return guarded(call::kill, [&] { return ::kill(pid, signal); });
}

int prctl(int option, unsigned long argument) noexcept {
  return guarded(call::prctl, [&] { return ::prctl(option, argument, 0, 0, 0); });
}

int setpgid(pid_t pid, pid_t group) noexcept {
  return guarded(call::setpgid, [&] { return ::setpgid(pid, group); });
}

uid_t geteuid() noexcept { return ::geteuid(); }

int processor() noexcept { return ::sched_getcpu(); }

pid_t gettid() noexcept { return static_cast<pid_t>(::syscall(SYS_gettid)); }

bool single_threaded() noexcept { return __libc_single_threaded != 0; }

std::uint64_t file_size_limit() noexcept { return limit_on(RLIMIT_FSIZE); }

std::uint64_t descriptor_limit() noexcept { return limit_on(RLIMIT_NOFILE); }

std::uint64_t process_limit() noexcept { return limit_on(RLIMIT_NPROC); }

bool at_fork(void (*before)(), void (*in_parent)(), void (*in_child)()) noexcept {
  return ::pthread_atfork(before, in_parent, in_child) == 0;
}

bool at_fork_in_child(void (*handler)()) noexcept { return at_fork(nullptr, nullptr, handler); }

bool is_terminal(int fd) noexcept { return ::isatty(fd) == 1; }

int terminal_columns(int fd) noexcept {
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : -1;
}

}  // namespace lenskit::detail::sys
