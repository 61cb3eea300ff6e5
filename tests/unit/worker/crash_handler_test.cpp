#include <lenskit/detail/worker/crash_handler.hpp>

#include <support/reporting_child.hpp>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <string>

using namespace lenskit::detail;
using lenskit::tests::reporting_child;

namespace {

[[noreturn]] void leave_with_success(int) { ::_exit(0); }

// Mends nothing: the program gives up on the second call.
void give_up(int number) { ::signal(number, SIG_DFL); }

void die_of(int number) {
  start_crash_reports();
  ::raise(number);
}

}  // namespace

TEST_CASE("a worker that dies of a fatal signal has reported where, and dies of that signal", "[no_asan][no_tsan]") {
  const int number = GENERATE(SIGSEGV, SIGABRT, SIGFPE);
  prepare_crash_reports();
  reporting_child child([number] { die_of(number); });
  const int status = child.drain_to_death();
  REQUIRE(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == number);
  const auto crash = child.reader().crash();
  REQUIRE(crash.has_value());
  CHECK(crash->signal == number);
  CHECK_FALSE(crash->frames.empty());
}

TEST_CASE("a handler that the program has for a fault comes first, and only what it gives up is reported",
          "[no_asan][no_tsan]") {
  prepare_crash_reports();
  SECTION("it deals with it") {
    reporting_child child([] {
      ::signal(SIGSEGV, leave_with_success);
      die_of(SIGSEGV);
    });
    CHECK(child.drain_to_death() == 0);
    CHECK_FALSE(child.reader().crash().has_value());
  }
  SECTION("it gives up") {
    reporting_child child([] {
      ::signal(SIGSEGV, give_up);
      die_of(SIGSEGV);
      ::raise(SIGSEGV);
    });
    const int status = child.drain_to_death();
    REQUIRE(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGSEGV);
    CHECK(child.reader().crash().has_value());
  }
}

TEST_CASE("a stack reads a frame a line, innermost first, with the file that each lies in") {
  const auto here = reinterpret_cast<std::uint64_t>(&describe_crash);
  crash_notice notice;
  CHECK(describe_crash(notice).empty());
  notice.frames = {here, 0x10};
  const auto text = describe_crash(notice);
  REQUIRE(std::count(text.begin(), text.end(), '\n') == 2);
  const auto first = text.substr(0, text.find('\n'));
  const auto second = text.substr(text.find('\n') + 1);
  CHECK(first.rfind("  0 0x", 0) == 0);
  CHECK(first.find("+0x") != std::string::npos);
  CHECK(second.rfind("  1 0x10 ", 0) == 0);
  CHECK(second.find("+0x") == std::string::npos);  // it lies in no file
}
