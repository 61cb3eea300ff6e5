#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/os/orphans.hpp>
#include <lenskit/detail/os/system.hpp>

#include <sys/prctl.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <linux/futex.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace lenskit::detail {
namespace {

// Orphans of this process that have ended and were not seen to be buried.
constexpr std::size_t most_unburied = 8;
constinit std::array<std::atomic<pid_t>, most_unburied> unburied{};

// A file of /proc as text, cut to the room; empty if it cannot be read. Needs no memory.
struct proc_text {
  std::array<char, 512> text{};
  proc_text(pid_t pid, const char* file) noexcept {
    std::array<char, 96> path{};
    std::snprintf(path.data(), path.size(), "/proc/%d/%.60s", static_cast<int>(pid), file);
    const auto gate = descriptor_gate();
    const int fd = sys::open(path.data(), O_RDONLY);
    if (fd < 0) return;
    const auto got = sys::retry([&]() noexcept { return sys::read(fd, text.data(), text.size() - 1); });
    if (got < 0) text[0] = '\0';
    ::close(fd);
  }
  // Behind "pid (name) "; the name may hold anything.
  [[nodiscard]] char state() const noexcept {
    const char* end = std::strrchr(text.data(), ')');
    return end != nullptr && end[1] == ' ' ? end[2] : '\0';
  }
  [[nodiscard]] bool is_of(const char* name) const noexcept {
    const char* begin = std::strchr(text.data(), '(');
    const auto length = std::strlen(name);
    return begin != nullptr && std::strncmp(begin + 1, name, length) == 0 && begin[1 + length] == ')';
  }
};

// In a process namespace that has no /proc of its own the numbers there are those of others.
bool proc_is_ours() noexcept {
  std::array<char, 16> self{};
  return ::readlink("/proc/self", self.data(), self.size() - 1) > 0 && std::atol(self.data()) == ::getpid();
}

bool adopts_orphans() noexcept {
  int subreaper = 0;
  sys::prctl(PR_GET_CHILD_SUBREAPER, reinterpret_cast<unsigned long>(&subreaper));
  return subreaper != 0 || ::getpid() == 1;
}

bool too_many_unburied() noexcept {
  std::size_t zombies = 0;
  for (auto& place : unburied) {
    const pid_t pid = place.load();
    if (pid == 0) continue;
    if (is_zombie(pid))
      ++zombies;
    else
      place = 0;
  }
  return zombies == most_unburied;
}

void bury_if_zombie(pid_t pid, const char* name) noexcept {
  const proc_text stat(pid, "stat");
  if (stat.state() == 'Z' && stat.is_of(name))
    sys::retry([&]() noexcept { return ::waitpid(pid, nullptr, WNOHANG | __WALL); });
}

}  // namespace

bool is_zombie(pid_t pid) noexcept { return proc_is_ours() && proc_text(pid, "stat").state() == 'Z'; }

bool others_bury_orphans() noexcept { return !adopts_orphans() && !too_many_unburied(); }

void note_ended_orphan(pid_t pid) noexcept {
  for (auto& place : unburied) {
    pid_t none = 0;
    if (place.compare_exchange_strong(none, pid)) return;
  }
}

void bury_adopted(const char* name) noexcept {
  if (!adopts_orphans() || !proc_is_ours()) return;
  siginfo_t info{};
  if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0 || info.si_pid == 0) return;
  std::array<char, 64> path{};
  // Orphans are children of the first thread.
  std::snprintf(path.data(), path.size(), "task/%d/children", static_cast<int>(::getpid()));
  const proc_text children(::getpid(), path.data());
  for (const char* at = children.text.data(); *at != '\0';) {
    char* end = nullptr;
    const auto pid = static_cast<pid_t>(std::strtol(at, &end, 10));
    if (end == at) return;
    if (*end == '\0' && children.text[children.text.size() - 2] != '\0') return;  // cut
    bury_if_zombie(pid, name);
    at = *end == ' ' ? end + 1 : end;
  }
}

sight look_at(pid_t pid) noexcept {
  if (!proc_is_ours()) return {};
  switch (proc_text(pid, "stat").state()) {
    case 'Z':
    case 'X': return {sight::state::is_gone};
    case 'S': break;
    default: return {};
  }
  const proc_text call(pid, "syscall");  // "number argument argument argument ..."
  if (call.text[0] == '\0') return {sight::state::sleeps};
  char* at = nullptr;
  if (std::strtol(call.text.data(), &at, 10) != SYS_futex || at == call.text.data()) return {};
  constexpr int hex = 16;
  const auto futex = static_cast<std::uintptr_t>(std::strtoull(at, &at, hex));
  const auto operation = std::strtoull(at, &at, hex);
  const auto expected = std::strtoull(at, &at, hex);
  constexpr unsigned contended = 2;  // what a plain lock says then, and nothing else that is waited for
  if (operation == (FUTEX_WAIT | FUTEX_PRIVATE_FLAG) && expected == contended)
    return {sight::state::waits_for_lock, futex, false};
  constexpr unsigned long long options = FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME;
  const bool of_readers = (operation & ~options) == FUTEX_WAIT_BITSET;
  return {sight::state::waits_for_lock, of_readers ? futex : 0, of_readers};
}

int count_threads() noexcept {
  if (__libc_single_threaded != 0) return 1;
  struct stat tasks {};
  constexpr int without_tasks = 2;
  if (::stat("/proc/self/task", &tasks) != 0 || tasks.st_nlink <= without_tasks) return 2;
  return static_cast<int>(tasks.st_nlink) - without_tasks;
}

}  // namespace lenskit::detail
