// H4: output that blocks, fails or goes to a terminal that stops who writes from the background.
#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/in_child.hpp>
#include <support/output_of.hpp>

#include <sys/ioctl.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <ranges>
#include <set>
#include <string>
#include <thread>

#ifndef __SANITIZE_THREAD__

using lenskit::invoker;
using lenskit::tests::holds_in_child;
using lenskit::tests::lines_of;
using lenskit::tests::on;
using namespace std::chrono_literals;

namespace {

constexpr auto processes = lenskit::engine::processes;

enum class printer { cout, c_file };

// A pipe on standard output, as full as it gets, whose reader is late by `patience`.
class late_reader {
 public:
  explicit late_reader(std::chrono::milliseconds patience) {
    if (pipe(ends_) != 0) std::abort();
    fcntl(ends_[1], F_SETFL, O_NONBLOCK);
    for (const std::string junk(4096, '.'); write(ends_[1], junk.data(), junk.size()) > 0;) junk_ += junk.size();
    fcntl(ends_[1], F_SETFL, 0);
    dup2(ends_[1], STDOUT_FILENO);
    close(ends_[1]);
    reader_ = std::thread([this, patience] {
      std::this_thread::sleep_for(patience);
      char part[4096];
      for (ssize_t got; (got = read(ends_[0], part, sizeof part)) > 0;)
        all_.append(part, static_cast<std::size_t>(got));
    });
  }
  // What came behind the junk. Everybody must have closed the pipe.
  std::string text() {
    reader_.join();
    close(ends_[0]);
    return all_.substr(junk_);
  }

 private:
  int ends_[2] = {-1, -1};
  std::size_t junk_ = 0;
  std::string all_;
  std::thread reader_;
};

}  // namespace

TEST_CASE("H4: a worker that waits for a reader of its output is not taken for stalled, and no line is lost",
          "[no_tsan]") {
  const auto how = GENERATE(printer::cout, printer::c_file);
  const bool blocking = GENERATE(true, false);
  CHECK(holds_in_child([&] {
    std::ios::sync_with_stdio(false);
    late_reader late(4s);
    if (!blocking) fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK);
    auto* const file = how == printer::c_file ? fdopen(dup(STDOUT_FILENO), "w") : nullptr;
    std::set<pid_t> workers;
    {
      auto options = on(processes);
      options.chunk_size = 1;
      options.task_timeout = 1s;  // after twice that, a worker that does not get on has stalled
      invoker inv(
          0,
          [&](int, int x) {
            if (file != nullptr) std::fprintf(file, "line %d\n", x);
            if (file == nullptr) std::cout << "line " << x << '\n';
            return getpid();
          },
          options);
      for (const pid_t worker : inv.map(std::views::iota(0, 20))) workers.insert(worker);
    }
    if (file != nullptr) std::fclose(file);
    close(STDOUT_FILENO);
    const auto lines = lines_of(late.text());
    for (int x = 0; x < 20; ++x) {
      const auto found = lines.find("line " + std::to_string(x));
      if (found == lines.end() || found->second != 1) return false;
    }
    return lines.size() == 20 && !workers.empty() && workers.size() <= 2;
  }));
}

TEST_CASE("H4: tasks that print to an output that is closed or full give their results", "[no_tsan]") {
  const bool full = GENERATE(false, true);
  CHECK(holds_in_child([&] {
    close(STDOUT_FILENO);
    if (full && open("/dev/full", O_WRONLY) != STDOUT_FILENO) return false;
    invoker inv(
        0,
        [](int, int x) {
          std::printf("line %d\n", x);
          std::cout << "line " << x << std::endl;
          return std::pair(x, getpid());
        },
        on(processes));
    std::set<pid_t> workers;
    int index = 0;
    for (const auto& [x, worker] : inv.map(std::views::iota(0, 200))) {
      if (x != index++) return false;
      workers.insert(worker);
    }
    return index == 200 && workers.size() <= 2;
  }));
}

TEST_CASE("H4: tasks print to a terminal that stops who writes from the background (stty tostop)", "[no_tsan]") {
  CHECK(holds_in_child([] {
    const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0 || setsid() < 0) return false;
    const int terminal = open(ptsname(master), O_RDWR);
    if (terminal < 0 || ioctl(terminal, TIOCSCTTY, 0) != 0) return false;
    termios settings{};
    tcgetattr(terminal, &settings);
    settings.c_lflag |= TOSTOP;
    tcsetattr(terminal, TCSANOW, &settings);
    dup2(terminal, STDOUT_FILENO);
    close(terminal);
    std::string shown;
    {
      invoker inv(
          0,
          [](int, int x) {
            std::printf("line %d\n", x);
            return x;
          },
          on(processes));
      int index = 0;
      for (const auto& x : inv.map_outcomes(std::views::iota(0, 20))) {
        if (!x || *x != index++) return false;
      }
    }
    char part[4096];
    fcntl(master, F_SETFL, O_NONBLOCK);
    for (ssize_t got; (got = read(master, part, sizeof part)) > 0;) shown.append(part, static_cast<std::size_t>(got));
    signal(SIGHUP, SIG_IGN);
    return lines_of(shown).size() == 20;
  }));
}

#endif
