#include <lenskit/detail/log/report_writer.hpp>
#include <lenskit/detail/os/child.hpp>
#include <lenskit/detail/os/loaded_file.hpp>
#include <lenskit/detail/os/output.hpp>
#include <lenskit/detail/worker/crash_handler.hpp>

#include <boost/stacktrace/frame.hpp>
#include <boost/stacktrace/safe_dump_to.hpp>

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>

namespace lenskit::detail {
namespace {

constexpr std::array fatal_signals{SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL};
constexpr std::size_t most_frames = 64;
constexpr std::size_t stack_bytes = std::size_t{64} << 10;
// Taking a stack from a damaged process may itself hang; the alarm then ends it.
constexpr unsigned patience_seconds = 2;

alignas(16) std::byte crash_stack[stack_bytes];  // touched by a crash only

void report_and_die(int number, siginfo_t* info, void*) {
  ::signal(SIGALRM, SIG_DFL);
  ::alarm(patience_seconds);
  std::array<void*, most_frames + 1> frames{};
  constexpr std::size_t our_own = 1;
  boost::stacktrace::safe_dump_to(our_own, frames.data(), sizeof frames);
  std::size_t count = 0;
  while (count < most_frames && frames[count] != nullptr) ++count;
  write_crash_report(number, info->si_code, info->si_addr, frames.data(), count, {});
  ::alarm(0);  // a reader of the output may pause for as long as it likes
  write_last_output();
  ::raise(number);  // the action is the default one again
}

// What the program does about a fault, by place in `fatal_signals`. The crash report stands behind it.
std::array<struct sigaction, fatal_signals.size()> of_program{};

std::size_t place_of(int number) noexcept {
  return static_cast<std::size_t>(std::find(fatal_signals.begin(), fatal_signals.end(), number) -
                                  fatal_signals.begin());
}

void report_on(int number) noexcept {
  struct sigaction action {};
  action.sa_sigaction = report_and_die;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | static_cast<int>(SA_RESETHAND);
  ::sigaction(number, &action, nullptr);
}

// A handler that mends the fault, or leaves by a jump, is none of our business. One that gives up asks for the default
// action, which is to report and die.
void let_the_program_try(int number, siginfo_t* info, void* context) {
  const auto& program = of_program[place_of(number)];
  if ((program.sa_flags & static_cast<int>(SA_RESETHAND)) != 0) report_on(number);
  if ((program.sa_flags & SA_SIGINFO) != 0)
    program.sa_sigaction(number, info, context);
  else
    program.sa_handler(number);
  struct sigaction now {};
  if (::sigaction(number, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) report_on(number);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// The sanitizer's own, which end the process by an exit code: as they were before the program could set any.
const std::array<struct sigaction, fatal_signals.size()> of_sanitizer = [] {
  std::array<struct sigaction, fatal_signals.size()> found{};
  for (std::size_t i = 0; i < found.size(); ++i) ::sigaction(fatal_signals[i], nullptr, &found[i]);
  return found;
}();
bool is_of_sanitizer(const struct sigaction& action, std::size_t place) noexcept {
  return action.sa_sigaction == of_sanitizer[place].sa_sigaction;
}
#else
bool is_of_sanitizer(const struct sigaction&, std::size_t) noexcept { return false; }
#endif

bool has_handler(const struct sigaction& action) noexcept {
  return action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN;
}

// A larger one of the program's is good enough for both.
bool set_stack() noexcept {
  stack_t stack{};
  if (::sigaltstack(nullptr, &stack) == 0 && stack.ss_flags == 0 && stack.ss_size >= stack_bytes) return true;
  stack = {};
  stack.ss_sp = crash_stack;
  stack.ss_size = sizeof crash_stack;
  return ::sigaltstack(&stack, nullptr) == 0;
}

}  // namespace

void prepare_crash_reports() noexcept {
  std::array<void*, 2> unused{};
  boost::stacktrace::safe_dump_to(unused.data(), sizeof unused);
}

void start_crash_reports() noexcept {
  if (!set_stack()) return;
  for (std::size_t i = 0; i < fatal_signals.size(); ++i) {
    const int number = fatal_signals[i];
    auto& program = of_program[i];
    ::sigaction(number, nullptr, &program);
    if (!is_fault(number) || !has_handler(program) || is_of_sanitizer(program, i)) {
      report_on(number);
      continue;
    }
    struct sigaction action = program;
    action.sa_sigaction = let_the_program_try;
    action.sa_flags |= SA_SIGINFO;
    ::sigaction(number, &action, nullptr);
  }
}

std::string describe_crash(const crash_notice& notice) {
  std::string text;
  for (std::size_t i = 0; i < notice.frames.size(); ++i) {
    const auto address = notice.frames[i];
    const auto* place = reinterpret_cast<const void*>(address);  // NOLINT(performance-no-int-to-ptr)
    text += fmt::format("{:>3} {:#x} {}", i, address, boost::stacktrace::frame(place).name());
    if (const auto file = find_loaded_file(address))
      text += fmt::format(" ({}+{:#x})", file->path, address - file->base);
    text += '\n';
  }
  return text;
}

}  // namespace lenskit::detail
