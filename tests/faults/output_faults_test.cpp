// O1: what the program and its tasks print comes once, whatever it is printed with and however the task ends.
#include <lenskit/invoker.hpp>
#include <lenskit/run_sp.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/file_tree.hpp>
#include <support/output_of.hpp>

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <ranges>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>

#ifndef __SANITIZE_THREAD__

using lenskit::invoker;
using lenskit::tests::file_tree;
using lenskit::tests::lines_of;
using lenskit::tests::on;
using lenskit::tests::output_of;
using lenskit::tests::printed_lines;
using namespace std::chrono_literals;

namespace {

constexpr auto processes = lenskit::engine::processes;

std::string line(int task) { return "task " + std::to_string(task); }

// The lines of so many tasks and these others, each once.
printed_lines each_once(int tasks, std::initializer_list<const char*> others) {
  printed_lines lines;
  for (int task = 0; task < tasks; ++task) lines[line(task)] = 1;
  for (const auto* other : others) lines[other] = 1;
  return lines;
}

std::string contents(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

void run_tasks(int count, std::function<void(int)> print) {
  invoker inv(
      0, [print](int, int x) { print(x); }, on(processes));
  std::ignore = inv.map_outcomes(std::views::iota(0, count)).collect();
}

enum class death { none, segv, abort, terminate, exit, quick_exit, kill, timeout };

void die(death how) {
  switch (how) {
    case death::none: return;
    case death::segv: raise(SIGSEGV); return;
    case death::abort: std::abort();
    case death::terminate: std::terminate();
    case death::exit: std::exit(3);
    case death::quick_exit: std::quick_exit(3);
    case death::kill: raise(SIGKILL); return;
    case death::timeout:
      for (;;) ::pause();
  }
}

}  // namespace

TEST_CASE("O1: C++ streams that do not share C's buffers print each line of program and tasks once", "[no_tsan]") {
  const bool to_log = GENERATE(false, true);
  const auto printed = output_of([&] {
    std::ios::sync_with_stdio(false);
    ::dup2(STDOUT_FILENO, STDERR_FILENO);
    auto& out = to_log ? std::clog : std::cout;
    out << "header\n";
    run_tasks(8, [&](int x) {
      out << line(x);
      if (x % 2 != 0) out << std::endl;
      if (x % 2 == 0) out << '\n';
    });
    out << "footer\n";
    lenskit::run_sp([&] { out << "subprocess\n"; });
  });
  CHECK(printed == each_once(8, {"header", "footer", "subprocess"}));
}

TEST_CASE("O1: what tasks print to the program's own files comes once, as does what the program had printed there",
          "[no_tsan]") {
  const bool through_a_pipe = GENERATE(false, true);
  file_tree tree;
  const auto path = tree.root() / "log";
  std::ignore = output_of([&] {
    auto* const log = through_a_pipe ? ::popen(("cat >" + path.string()).c_str(), "w") : std::fopen(path.c_str(), "a");
    std::fputs("header\n", log);
    run_tasks(20, [&](int x) {
      std::fprintf(log, "%s\n", line(x).c_str());
      if (x % 4 == 0) std::fflush(nullptr);
    });
    std::fputs("footer\n", log);
    through_a_pipe ? ::pclose(log) : std::fclose(log);
  });
  CHECK(lines_of(contents(path)) == each_once(20, {"header", "footer"}));
}

TEST_CASE("O1: a stream that another thread holds at the fork delays it a little, and its text comes once",
          "[no_tsan]") {
  file_tree tree;
  const auto path = tree.root() / "log";
  std::ignore = output_of([&] {
    auto* const log = std::fopen(path.c_str(), "a");
    std::fputs("header\n", log);
    std::atomic<bool> held = false;
    std::atomic<bool> done = false;
    std::thread holder([&] {
      ::flockfile(log);
      held = true;
      while (!done) std::this_thread::sleep_for(1ms);
      ::funlockfile(log);
    });
    while (!held) std::this_thread::yield();
    const auto begun = std::chrono::steady_clock::now();
    run_tasks(6, [&](int x) { std::fprintf(log, "%s\n", line(x).c_str()); });
    if (std::chrono::steady_clock::now() - begun > 3s) std::fputs("late\n", log);
    done = true;
    holder.join();
    std::fclose(log);
  });
  CHECK(lines_of(contents(path)) == each_once(6, {"header"}));
}

TEST_CASE("O1: what a task has printed comes, however it ends the worker", "[no_tsan]") {
  const auto how = GENERATE(death::none, death::segv, death::abort, death::terminate, death::exit, death::quick_exit,
                            death::kill, death::timeout);
  const bool full_buffer = GENERATE(false, true);
  INFO("death " << static_cast<int>(how) << (full_buffer ? " with a full buffer" : ""));
  const auto printed = output_of([&] {
    if (full_buffer) std::setvbuf(stdout, nullptr, _IOFBF, 1 << 16);
    std::printf("header\n");
    auto options = on(processes);
    options.chunk_size = 3;
    if (how == death::timeout) options.task_timeout = 200ms;
    invoker inv(
        0,
        [&](int, int x) {
          std::printf("%s\n", line(x).c_str());
          if (x == 4) die(how);
        },
        options);
    std::ignore = inv.map_outcomes(std::views::iota(0, 9)).collect();
  });
  CHECK(printed == each_once(9, {"header"}));
}

TEST_CASE("O1: text without an end of line, and that of other streams, comes from a task that crashes", "[no_tsan]") {
  const auto how = GENERATE(death::segv, death::abort, death::terminate, death::exit);
  file_tree tree;
  const auto path = tree.root() / "log";
  const auto printed = output_of([&] {
    std::ios::sync_with_stdio(false);
    auto* const log = std::fopen(path.c_str(), "a");
    invoker inv(
        0,
        [&](int, int x) {
          std::fprintf(log, "%s\n", line(x).c_str());
          std::cout << line(x) << '\n';
          if (x != 1) return;
          std::printf("almost");
          die(how);
        },
        on(processes, 1));
    std::ignore = inv.map_outcomes(std::views::iota(0, 3)).collect();
    inv.shutdown();
    std::fclose(log);
    std::printf("\n");
  });
  int almost = 0;
  for (const auto& [text, times] : printed) almost += text.find("almost") != std::string::npos ? times : 0;
  CHECK(almost == 1);
  int of_cout = 0;
  for (const auto& [text, times] : printed) of_cout += text.find("task 1") != std::string::npos ? times : 0;
  CHECK(of_cout == 1);
  CHECK(lines_of(contents(path)) == each_once(3, {}));
}

#endif
