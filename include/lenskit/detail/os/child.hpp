// How a process forked by the library starts and ends. Both happen here and nowhere else.
#pragma once

#include <initializer_list>

namespace lenskit::detail {

/// Everything a process forked from the host has to do before it does anything else: leaves the host's process group,
/// takes back its signal handlers but those of faults, closes every descriptor of the library but `keep`, and makes `exit()` end it at
/// once, without the host's atexit handlers and static destructors (failure F8). Every signal must be blocked around
/// the fork
/// (`signal_shield`), so that no handler of the host runs here first; they stay blocked until `receive_signals`.
void start_child(std::initializer_list<int> keep, const char* name) noexcept;

/// Whether `signal` says that the thread that gets it has done something impossible.
[[nodiscard]] bool is_fault(int signal) noexcept;

/// In a worker: what others send to every process of a service (SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2) is for the
/// process `program` to decide, as ^C is (failure H6). From the worker itself, its parent and `program` these signals
/// do what they do by default. Those that the program ignores stay ignored.
void leave_signals_to(int program) noexcept;

/// Unblocks every signal.
void receive_signals() noexcept;

/// Ends a process of the library: writes coverage and pending standard output, then `_exit`.
[[noreturn]] void leave_child(int code) noexcept;

/// Asks the kernel to kill this process when its parent dies; false if the parent, `expected`, is dead already.
bool die_with_parent(int expected) noexcept;

/// Makes the kernel choose this process before its parent when memory runs out (failure W3). Best effort.
void volunteer_for_out_of_memory() noexcept;

/// Blocks every signal of the calling thread while it lives.
class signal_shield {
 public:
  signal_shield() noexcept;
  ~signal_shield();
  signal_shield(const signal_shield&) = delete;
  signal_shield& operator=(const signal_shield&) = delete;

 private:
  alignas(8) unsigned char saved_[128];  // sigset_t, whose header this one spares its includers
};

}  // namespace lenskit::detail
