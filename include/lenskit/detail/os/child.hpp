// How a process forked by the library starts and ends. Both happen here and nowhere else.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <initializer_list>

namespace lenskit::detail {

/// Forks, and returns what `fork` returns. The child dies with its parent from its first moment on, before the fork
/// handlers of anybody that was loaded later, one of which may wait for ever (failure B1). To be called with the
/// descriptor gate held, or where there is one thread.
pid_t fork_mortal() noexcept;

/// From now on `fork_mortal` holds the lock of the C library whose futex this is, while it forks: so no other thread is
/// in the middle of what it guards, and the child finds it free. `has_readers`: it is a pthread_rwlock_t. False if that
/// word is none of the C library's, or held at forks already.
bool hold_at_forks(std::uintptr_t futex, bool has_readers);

/// Takes back that a child dies with its parent, for one that outlives the thread that forked it.
void outlive_parent_thread() noexcept;

/// Goes on in a process of another number with the same memory, which is nobody's child but that of whoever adopts
/// orphans; the caller's ends. So the host's `wait` does not meet it, and no fork is paid for twice. Never returns to
/// the caller if it succeeds: `body` is called with `argument`, on this stack. For a process of one thread.
void continue_as_orphan(void (*body)(void*), void* argument) noexcept;

/// Ends this process, and with it what dies with its parent, if the process behind `parent` ends while a fork does not
/// come back. While it lives; in a process of one thread that blocks every signal.
class fork_watchdog {
 public:
  explicit fork_watchdog(int parent) noexcept;
  ~fork_watchdog();
  fork_watchdog(const fork_watchdog&) = delete;
  fork_watchdog& operator=(const fork_watchdog&) = delete;
  /// In the child of that fork.
  static void forget() noexcept;
};

/// Everything a process forked from the host has to do before it does anything else: leaves the host's process group,
/// takes back its signal handlers but those of faults, closes every descriptor of the library but `keep`, forgets what
/// the host has printed and not written yet, and makes `exit()` end it at once, without the host's atexit handlers and
/// static destructors (failure F8). Every signal must be blocked around the fork (`signal_shield`), so that no handler
/// of the host runs here first; they stay blocked until `receive_signals`.
void start_child(std::initializer_list<int> keep, const char* name) noexcept;

/// Whether `signal` says that the thread that gets it has done something impossible.
[[nodiscard]] bool is_fault(int signal) noexcept;

/// In a worker: what others send to every process of a service (SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2) is for the
/// process `program` to decide, as ^C is (failure H6). From the worker itself, its parent and `program` these signals
/// do what they do by default. Those that the program ignores stay ignored.
void leave_signals_to(int program) noexcept;

/// Unblocks every signal.
void receive_signals() noexcept;

/// Ends a process of the library: writes coverage and what it has printed, then `_exit`.
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
