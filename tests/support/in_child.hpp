// Running a check in a forked child, for what a process can do only once or must not do to the test program.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <exception>
#include <iostream>
#include <thread>

namespace lenskit::tests {

/// Whether `check` returned true in a forked child, within the time. A child that hangs is killed.
template <class Check>
bool holds_in_child(Check check, std::chrono::seconds limit = std::chrono::seconds(20)) {
  std::cout.flush();
  const pid_t child = fork();
  if (child == 0) {
    for (const int number : {SIGABRT, SIGSEGV, SIGTERM}) signal(number, SIG_DFL);  // Catch2's would report twice
    bool held = false;
    try {
      held = check();
    } catch (const std::exception& error) {
      std::cerr << "in the child: " << error.what() << std::endl;
    }
    _exit(held ? 0 : 1);
  }
  if (child < 0) return false;
  int status = -1;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) kill(child, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace lenskit::tests
