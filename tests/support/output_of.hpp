// What a process of its own prints, line by line.
#pragma once

#include <support/catch.hpp>

#include <sys/wait.h>

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <map>
#include <sstream>
#include <string>

namespace lenskit::tests {

/// How often each line came.
using printed_lines = std::map<std::string, int>;

inline printed_lines lines_of(const std::string& text) {
  printed_lines lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) ++lines[line];
  return lines;
}

/// What a forked process printed to its standard output, here a pipe, until it and everything it has started had ended
/// or closed it. `body` is followed by what a normal end of the program does to its buffers.
template <class Body>
printed_lines output_of(Body body) {
  std::cout.flush();
  std::fflush(stdout);
  int ends[2] = {-1, -1};
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int number : {SIGABRT, SIGSEGV, SIGTERM}) ::signal(number, SIG_DFL);
    ::dup2(ends[1], STDOUT_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    try {
      body();
    } catch (const std::exception& error) {
      std::cerr << "in the child: " << error.what() << std::endl;
    }
    for (auto* stream : {&std::cout, &std::clog}) stream->flush();
    std::fflush(nullptr);
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string all;
  char part[4096];
  for (ssize_t got; (got = ::read(ends[0], part, sizeof part)) > 0;) all.append(part, static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  return lines_of(all);
}

}  // namespace lenskit::tests
