// A terminal of our own: runs code in a process that draws on it, and shows what a user would see.
#pragma once

#include <support/catch.hpp>

#include <sys/ioctl.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

namespace lenskit::tests {

/// Everything that `body` writes to a terminal of `columns` columns.
template <class Body>
std::string on_terminal(unsigned short columns, Body body) {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE(master >= 0);
  REQUIRE(::grantpt(master) == 0);
  REQUIRE(::unlockpt(master) == 0);
  const int slave = ::open(::ptsname(master), O_RDWR | O_NOCTTY);
  REQUIRE(slave >= 0);
  const winsize size{24, columns, 0, 0};
  REQUIRE(::ioctl(slave, TIOCSWINSZ, &size) == 0);
  std::cout.flush();  // or the child would write the test runner's buffered lines to the terminal
  const auto pid = ::fork();
  if (pid == 0) {
    ::dup2(slave, STDOUT_FILENO);
    ::dup2(slave, STDERR_FILENO);
    try {
      body();
    } catch (...) {
      ::_exit(99);
    }
    ::_exit(0);
  }
  ::close(slave);
  std::string written;
  char buffer[4096];
  for (ssize_t got; (got = ::read(master, buffer, sizeof buffer)) > 0;)
    written.append(buffer, static_cast<std::size_t>(got));
  ::close(master);
  int status = -1;
  ::waitpid(pid, &status, 0);
  REQUIRE(status == 0);
  return written;
}

/// What a terminal that was sent `bytes` shows, line by line; knows what bars and console sinks use of its language.
inline std::vector<std::string> screen_after(const std::string& bytes) {
  std::vector<std::string> lines(1);
  std::size_t row = 0;
  std::size_t column = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    if (c == '\r') {
      column = 0;
    } else if (c == '\n') {
      if (++row == lines.size()) lines.emplace_back();
    } else if (c == '\x1b' && i + 1 < bytes.size() && bytes[i + 1] == '[') {
      const auto end = bytes.find_first_not_of("0123456789;", i + 2);
      if (end == std::string::npos) break;
      if (bytes[end] == 'K') lines[row].clear();
      if (bytes[end] == 'A') row -= std::min<std::size_t>(row, 1);
      i = end;
    } else {
      if (lines[row].size() < column) lines[row].resize(column, ' ');
      lines[row].replace(column++, 1, 1, c);
    }
  }
  return lines;
}

}  // namespace lenskit::tests
