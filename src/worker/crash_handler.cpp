#include <lenskit/detail/log/report_writer.hpp>
#include <lenskit/detail/os/loaded_file.hpp>
#include <lenskit/detail/os/output.hpp>
#include <lenskit/detail/worker/crash_handler.hpp>

#include <boost/stacktrace/frame.hpp>
#include <boost/stacktrace/safe_dump_to.hpp>

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

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

}  // namespace

void prepare_crash_reports() noexcept {
  std::array<void*, 2> unused{};
  boost::stacktrace::safe_dump_to(unused.data(), sizeof unused);
}

void report_crashes() noexcept {
  stack_t stack{};
  stack.ss_sp = crash_stack;
  stack.ss_size = sizeof crash_stack;
  if (::sigaltstack(&stack, nullptr) != 0) return;
  for (const int number : fatal_signals) {
    struct sigaction action {};
    action.sa_sigaction = report_and_die;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | static_cast<int>(SA_RESETHAND);
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
