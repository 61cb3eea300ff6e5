// Which signals reach the threads of the library, and what its own system calls raise.
#pragma once

#include <thread>
#include <utility>

namespace lenskit::detail {

/// Whose code a thread of the library runs, mostly.
enum class thread_role {
  library,  ///< its own: it takes no signal of the program
  tasks,    ///< the user's: it takes SIGPROF as well, or no profiler would see tasks
};

/// While it lives, threads that the calling one makes take no signals but those that they themselves raise by a fault
/// (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS): a handler of the program, or its default action, never meets a
/// thread that the program does not know and cannot have prepared (failure H5).
class quiet_start {
 public:
  explicit quiet_start(thread_role role = thread_role::library) noexcept;
  ~quiet_start();
  quiet_start(const quiet_start&) = delete;
  quiet_start& operator=(const quiet_start&) = delete;

 private:
  alignas(8) unsigned char saved_[128];  // sigset_t, whose header this one spares its includers
};

/// A thread that takes no signals. Throws std::system_error.
template <class Work>
[[nodiscard]] std::thread quiet_thread(Work&& work, thread_role role = thread_role::library) {
  const quiet_start quiet(role);
  return std::thread(std::forward<Work>(work));
}

/// While it lives, what the calling thread writes beyond the limit on the size of files (RLIMIT_FSIZE) fails with EFBIG
/// and raises no SIGXFSZ, which would end the program (failure H2). The program's own way with that signal stays.
class file_limit_shield {
 public:
  file_limit_shield() noexcept;
  ~file_limit_shield();
  file_limit_shield(const file_limit_shield&) = delete;
  file_limit_shield& operator=(const file_limit_shield&) = delete;

 private:
  bool active_ = false;   // there is a limit
  bool pending_ = false;  // since before
  bool blocked_ = false;  // likewise
};

}  // namespace lenskit::detail
