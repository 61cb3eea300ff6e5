// A program of its own, forked from the test, that makes pools and is then treated badly.
#pragma once

#include <support/catch.hpp>
#include <support/leaks.hpp>

#include <sys/wait.h>

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <iostream>
#include <set>
#include <thread>
#include <utility>

namespace lenskit::tests {

class disposable_parent {
 public:
  /// Runs `body` in a forked process that leads a process group of its own, as a program under a shell does.
  template <class Body>
  explicit disposable_parent(Body body) {
    for (const auto& [pid, ignored] : surroundings::now().processes) before_.insert(pid);
    std::cout.flush();
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::setpgid(0, 0);
      for (const int number : {SIGABRT, SIGSEGV, SIGTERM, SIGINT}) ::signal(number, SIG_DFL);
      try {
        body();
      } catch (const std::exception& error) {
        std::cerr << "in the disposable parent: " << error.what() << std::endl;
        ::_exit(99);
      }
      ::_exit(0);
    }
    ::setpgid(pid_, pid_);
  }
  ~disposable_parent() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      wait();
    }
  }
  disposable_parent(const disposable_parent&) = delete;
  disposable_parent& operator=(const disposable_parent&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  void send(int signal) const { ::kill(pid_, signal); }
  /// To its process group, as a terminal does it.
  void send_to_group(int signal) const { ::kill(-pid_, signal); }
  /// Its wait status.
  int wait() {
    int status = -1;
    ::waitpid(std::exchange(pid_, 0), &status, 0);
    return status;
  }
  /// Whether everything that it started is gone by then.
  [[nodiscard]] bool leaves_nothing(std::chrono::milliseconds limit) const {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (count_descendants() > 0) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
  }
  /// How many processes it has started that live, itself among them.
  [[nodiscard]] int count_descendants() const {
    int count = 0;
    for (const auto& [pid, ignored] : surroundings::now().processes) count += !before_.contains(pid);
    return count;
  }

 private:
  std::set<int> before_;
  pid_t pid_ = 0;
};

}  // namespace lenskit::tests
