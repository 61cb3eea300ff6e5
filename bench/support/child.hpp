// The least that a pool of processes is made of: a fork, and reading and writing all of something.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace bench {

[[noreturn]] inline void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

inline bool read_all(int fd, void* into, std::size_t bytes) {
  auto* at = static_cast<std::byte*>(into);
  while (bytes > 0) {
    const auto got = ::read(fd, at, bytes);
    if (got <= 0) return false;
    at += got;
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

inline bool write_all(int fd, const void* from, std::size_t bytes) {
  const auto* at = static_cast<const std::byte*>(from);
  while (bytes > 0) {
    const auto put = ::write(fd, at, bytes);
    if (put <= 0) return false;
    at += put;
    bytes -= static_cast<std::size_t>(put);
  }
  return true;
}

/// A forked process that runs `body` and ends. The destructor ends it, since others may hold open what it waits for.
class child {
 public:
  template <class Body>
  explicit child(Body&& body) : pid_(::fork()) {
    if (pid_ < 0) fail("fork");
    if (pid_ > 0) return;
    ::_exit(outcome_of(body));
  }
  child(child&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}
  child& operator=(child&&) = delete;
  ~child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Waits for its end.
  [[nodiscard]] bool succeeded() {
    int status = -1;
    return ::waitpid(std::exchange(pid_, 0), &status, 0) > 0 && status == 0;
  }

 private:
  template <class Body>
  static int outcome_of(Body& body) noexcept {
    try {
      body();
      return 0;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      return 1;
    }
  }

  pid_t pid_;
};

/// Runs `body` in a process of its own and waits for its end. What it does to the memory of its process, others do not
/// inherit.
template <class Body>
void run_apart(Body&& body) {
  child apart(std::forward<Body>(body));
  if (!apart.succeeded()) throw std::runtime_error("a part of the benchmark failed");
}

}  // namespace bench
