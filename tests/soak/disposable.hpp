// Processes to be broken: each runs one piece of a trial under a watchdog, and what it leaves behind is found.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace lenskit::soak {

using steady = std::chrono::steady_clock;

/// Shared between a disposable process and the soak: what it saw.
struct notes {
  static constexpr std::size_t room = 3000;
  std::atomic<std::size_t> length{0};
  char text[room];                            ///< the complaints, a line each
  std::atomic<std::int64_t> counters[24]{};   ///< what each means, the trial says
  std::atomic<std::int64_t> times_ns[200]{};  ///< durations, as many as `times` says
  std::atomic<std::size_t> times{0};

  /// Adds a line; async-signal-safe, from any thread and any process that shares it.
  void complain(const std::string& line) noexcept;
  void took(std::chrono::nanoseconds time) noexcept;
};

/// How a disposable process ended.
struct ending {
  std::string label;  ///< what it was, as given to `start`
  bool hung = false;  ///< the watchdog had to end it
  int exit_code = -1;
  int signal = 0;
  std::vector<std::string> complaints;   ///< its own, and those about what it left behind; empty: all is well
  std::vector<std::int64_t> counters{};  ///< as in `notes`
  std::vector<std::int64_t> times_ns{};
  steady::duration took{};
};

/// Runs disposable processes, some at once. Each is a session of its own, by which its descendants are found: any that
/// lives on `grace` after it is a complaint, and killed. Single-threaded.
class disposable_processes {
 public:
  using body = std::function<void(notes&)>;

  disposable_processes(int at_once, std::chrono::milliseconds limit, std::function<void(ending)> on_end);
  ~disposable_processes();
  disposable_processes(const disposable_processes&) = delete;
  disposable_processes& operator=(const disposable_processes&) = delete;

  /// Blocks while too many run. In the new process, `what` runs and the process ends; by `expected_signal`, if that is
  /// not 0, or it is a complaint.
  void start(std::string label, body what, int expected_signal = 0);
  /// Waits for all of them.
  void finish();

 private:
  struct running;
  void poll_once();
  bool settle(running& one);

  std::size_t at_once_;
  std::chrono::milliseconds limit_;
  std::function<void(ending)> on_end_;
  std::vector<std::unique_ptr<running>> running_;
};

/// Every process of session `session` that is not a zombie of somebody else's, as "pid (name) state".
std::vector<std::pair<pid_t, std::string>> processes_of_session(pid_t session);

}  // namespace lenskit::soak
