#include <lenskit/detail/os/errors.hpp>
#include <lenskit/detail/os/process.hpp>
#include <lenskit/detail/os/system.hpp>

#include <sched.h>
#include <signal.h>
#include <array>
#include <cstdio>
#include <string_view>

namespace lenskit::detail {

process process::open(pid_t pid) {
  const auto gate = descriptor_gate();
  const int fd = sys::pidfd_open(pid);
  if (fd < 0) throw_errno("cannot open a handle of process " + std::to_string(pid));
  return {pid, descriptor(fd)};
}

bool process::signal(int signal) const noexcept {
  if (!pidfd_ || sys::retry([&]() noexcept { return sys::pidfd_send_signal(pidfd_.get(), signal); }) == 0) return true;
  return errno == ESRCH;
}

void process::signal_group(int signal) const noexcept {
  constexpr unsigned to_group = 1U << 2;  // PIDFD_SIGNAL_PROCESS_GROUP
  if (pidfd_) sys::retry([&]() noexcept { return sys::pidfd_send_signal(pidfd_.get(), signal, to_group); });
}

bool process::is_headless() const noexcept {
  if (!pidfd_ || wait_ended(steady::time_point{})) return false;
  std::array<char, 32> path{};
  std::snprintf(path.data(), path.size(), "/proc/%d/stat", static_cast<int>(pid_));
  const descriptor file(sys::open(path.data(), O_RDONLY));
  if (!file) return false;
  std::array<char, 128> text{};  // "pid (name of at most 15) state ..."
  const auto got = sys::read(file.get(), text.data(), text.size());
  if (got <= 0) return false;
  const std::string_view seen(text.data(), static_cast<std::size_t>(got));
  const auto name_end = seen.rfind(") ");
  return name_end != std::string_view::npos && name_end + 2 < seen.size() && seen[name_end + 2] == 'Z' &&
         !wait_ended(steady::time_point{});
}

bool process::wait_ended(steady::time_point deadline) const noexcept {
  pollfd watched{pidfd_.get(), POLLIN, 0};
  for (;;) {
    if (sys::poll(&watched, 1, milliseconds_until(deadline)) > 0) return true;
    if (steady::now() >= deadline) return false;
  }
}

std::optional<bool> process::newly_stopped() const noexcept {
  std::optional<bool> stopped;
  for (;;) {
    siginfo_t info{};
    const int options = WSTOPPED | WCONTINUED | WNOHANG;
    if (sys::retry([&]() noexcept { return sys::waitid(pidfd_.get(), info, options); }) != 0) return stopped;
    if (info.si_pid == 0) return stopped;
    stopped = info.si_code == CLD_STOPPED;
  }
}

std::chrono::nanoseconds process::processor_time() const noexcept {
  clockid_t clock{};
  timespec spent{};
  if (pid_ <= 0 || ::clock_getcpuclockid(pid_, &clock) != 0 || ::clock_gettime(clock, &spent) != 0) return {};
  return std::chrono::seconds(spent.tv_sec) + std::chrono::nanoseconds(spent.tv_nsec);
}

std::optional<exit_status> process::reap() const noexcept {
  siginfo_t info{};
  rusage usage{};
  const int options = WEXITED | WNOHANG | __WALL;
  if (sys::retry([&]() noexcept { return sys::waitid(pidfd_.get(), info, options, &usage); }) != 0) {
    return exit_status{};  // ECHILD: the host's waitpid(-1) or an ignored SIGCHLD took it; it has ended all the same
  }
  if (info.si_pid == 0) return std::nullopt;  // still running
  exit_status status;
  if (info.si_code == CLD_EXITED) {
    status.exit_code = info.si_status;
  } else {
    status.signal = info.si_status;
    status.core_dumped = info.si_code == CLD_DUMPED;
  }
  constexpr std::size_t kibibyte = 1024;  // ru_maxrss is in KiB
  status.peak_memory = static_cast<std::size_t>(usage.ru_maxrss) * kibibyte;
  return status;
}

void schedule_as_batch() noexcept {
  const sched_param no_priority{};
  const int before = errno;
  if (::sched_getscheduler(0) == SCHED_OTHER) ::sched_setscheduler(0, SCHED_BATCH, &no_priority);
  errno = before;  // refused, it is slower by a few per cent
}

}  // namespace lenskit::detail
