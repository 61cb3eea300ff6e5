// The system calls the library makes, each under its own name, in one place.
//
// Everything in the library that talks to the kernel goes through this header, so that a test can make any
// call fail, come short, be interrupted or run a callback at an exact moment (`interceptor`). Without an
// interceptor a wrapper costs one relaxed load and a predicted branch.
#pragma once

#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <poll.h>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace lenskit::detail::sys {

enum class call {
  fork,
  socketpair,
  pipe2,
  memfd_create,
  eventfd,
  timerfd,
  open,
  unlink,
  fstat,
  fallocate,
  ftruncate,
  fcntl,
  dup,
  mmap,
  munmap,
  mprotect,
  madvise,
  read,
  write,
  pread,
  pwrite,
  sendmsg,
  recvmsg,
  poll,
  epoll_create,
  epoll_ctl,
  epoll_wait,
  pidfd_open,
  pidfd_send_signal,
  waitid,
  kill,
  prctl,
  setpgid,
  linkat,
  setsockopt,
  openat,
  unlinkat,
  renameat,
  fchmod,
  fsync,
  flock,
  fstatfs,
  signalfd,
  membarrier,
  clone,
};

/// Where in a worker's life a test can break it, besides at a system call and in the task itself.
enum class moment {
  forked,    ///< the process exists
  ready,     ///< it waits for its first message
  accepted,  ///< it has noted that it has a chunk in hand, and started no task of it
  leaving,   ///< it is about to end by itself
};

/// What a test puts between the library and the kernel. Called on whatever thread makes the call.
class interceptor {
 public:
  virtual ~interceptor() = default;
  /// The errno the call is to fail with, or 0 to let it through.
  virtual int fail(call which) noexcept = 0;
  /// The number of bytes a transfer may move at most: lets a test force short reads and writes.
  virtual std::size_t shorten(call, std::size_t bytes) noexcept { return bytes; }
  /// Runs at that moment, in the worker.
  virtual void reach(moment) {}
};

/// Installs `hook` for the whole process (null removes it). Not for concurrent use with itself. Inherited by fork.
void intercept(interceptor* hook) noexcept;

/// Tells the interceptor that this worker has come so far.
void reach(moment which);

/// The name of a call, for messages and test reports.
const char* name(call which) noexcept;

// Each returns what the system call of that name returns and sets errno. None retries on EINTR: `retry` does.
pid_t fork() noexcept;
/// A process with the memory of this one and copies of the rest, which begins with `body(argument)` on `stack` (its
/// upper end).
pid_t clone_in_place(int (*body)(void*), void* stack, void* argument) noexcept;
int socketpair(int type, int (&fds)[2]) noexcept;  // AF_UNIX, close-on-exec
int pipe(int (&fds)[2], int flags) noexcept;       // pipe2 with O_CLOEXEC added
int memfd_create(const char* name, unsigned flags) noexcept;
int timerfd() noexcept;                                          // monotonic, non-blocking, close-on-exec
int timerfd_settime(int fd, std::int64_t nanoseconds) noexcept;  // once, from now
int membarrier(int command) noexcept;
int eventfd() noexcept;                                           // non-blocking, close-on-exec
int signalfd(int signal) noexcept;                                // of one signal; non-blocking, close-on-exec
int open(const char* path, int flags, mode_t mode = 0) noexcept;  // O_CLOEXEC added
int unlink(const char* path) noexcept;
int linkat(int old_dir, const char* old_path, int new_dir, const char* new_path, int flags) noexcept;
int openat(int dir, const char* path, int flags, mode_t mode = 0) noexcept;  // O_CLOEXEC added
int unlinkat(int dir, const char* path) noexcept;
int renameat(int dir, const char* old_path, const char* new_path) noexcept;  // within one directory
int fstat(int fd, struct stat& out) noexcept;
int fchmod(int fd, mode_t mode) noexcept;
int fsync(int fd) noexcept;
int flock(int fd, int operation) noexcept;
int fstatfs(int fd, struct statfs& out) noexcept;
int fallocate(int fd, off_t offset, off_t bytes) noexcept;  // posix_fallocate, but -1 and errno like the others
int ftruncate(int fd, off_t bytes) noexcept;
int fcntl(int fd, int command, long argument = 0) noexcept;
constexpr int first_free_descriptor = 3;  // behind the standard streams
int dup(int fd) noexcept;                 // close-on-exec, never one of the standard streams
int setsockopt(int fd, int level, int option, int value) noexcept;
void* mmap(void* where, std::size_t bytes, int protection, int flags, int fd, off_t offset) noexcept;
int munmap(void* where, std::size_t bytes) noexcept;
int mprotect(void* where, std::size_t bytes, int protection) noexcept;
int madvise(void* where, std::size_t bytes, int advice) noexcept;
ssize_t read(int fd, void* into, std::size_t bytes) noexcept;
ssize_t write(int fd, const void* from, std::size_t bytes) noexcept;
ssize_t pread(int fd, void* into, std::size_t bytes, off_t offset) noexcept;
ssize_t pwrite(int fd, const void* from, std::size_t bytes, off_t offset) noexcept;
ssize_t sendmsg(int fd, const msghdr& message, int flags) noexcept;  // MSG_NOSIGNAL added
ssize_t recvmsg(int fd, msghdr& message, int flags) noexcept;        // MSG_CMSG_CLOEXEC added
int poll(pollfd* fds, std::size_t count, int timeout_ms) noexcept;
int poll(pollfd* fds, std::size_t count, std::chrono::nanoseconds timeout) noexcept;
int epoll_create() noexcept;  // close-on-exec
int epoll_ctl(int epoll, int operation, int fd, epoll_event& event) noexcept;
int epoll_wait(int epoll, epoll_event* events, int capacity, int timeout_ms) noexcept;
int pidfd_open(pid_t pid) noexcept;
int pidfd_send_signal(int pidfd, int signal, unsigned flags = 0) noexcept;
int waitid(int pidfd, siginfo_t& info, int options, rusage* usage = nullptr) noexcept;  // P_PIDFD
int kill(pid_t pid, int signal) noexcept;
int prctl(int option, unsigned long argument) noexcept;
int setpgid(pid_t pid, pid_t group) noexcept;
uid_t geteuid() noexcept;
pid_t getpid() noexcept;
pid_t gettid() noexcept;
int processor() noexcept;         // the one that the calling thread runs on, or has just run on; -1 if unknown
bool single_threaded() noexcept;  // the program has no second thread; may be false when it has none any more
constexpr std::uint64_t no_limit = ~std::uint64_t{0};
std::uint64_t file_size_limit() noexcept;   // bytes (RLIMIT_FSIZE), or no_limit
std::uint64_t descriptor_limit() noexcept;  // descriptors (RLIMIT_NOFILE), or no_limit
std::uint64_t process_limit() noexcept;     // processes and threads of this user (RLIMIT_NPROC), or no_limit
/// Calls `handler` in every child that is forked from now on, by whomever. False without memory.
bool at_fork_in_child(void (*handler)()) noexcept;
/// Calls the three around every fork from now on: before it, and after it in the parent and in the child.
bool at_fork(void (*before)(), void (*in_parent)(), void (*in_child)()) noexcept;
constexpr int standard_output = 1;
constexpr int standard_error = 2;
bool is_terminal(int fd) noexcept;
int terminal_columns(int fd) noexcept;  // -1 if it is no terminal or will not say

/// For calls that another library makes on our behalf: whether the interceptor lets `which` through, else errno is set.
bool permitted(call which) noexcept;

/// Whether the last call failed with EINTR.
bool interrupted() noexcept;
/// Whether the last call failed because it would have had to wait.
bool would_block() noexcept;

/// Repeats `attempt` while it fails with EINTR.
template <class Attempt>
auto retry(Attempt&& attempt) noexcept(noexcept(attempt())) {
  for (;;) {
    const auto result = attempt();
    if (result != static_cast<decltype(result)>(-1) || !interrupted()) return result;
  }
}

}  // namespace lenskit::detail::sys
