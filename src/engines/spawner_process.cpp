#include "spawner_process.hpp"

#include <lenskit/detail/engines/control.hpp>
#include <lenskit/detail/os/child.hpp>
#include <lenskit/detail/os/lock_probes.hpp>
#include <lenskit/detail/os/system.hpp>

#include <sys/signalfd.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <vector>

namespace lenskit::detail {
namespace {

// How long a worker may be stopped. Only a debugger or an administrator continues what has stopped itself.
constexpr auto stop_patience = std::chrono::seconds(1);

class spawner_life {
 public:
  spawner_life(worker_program& program, pid_t parent, descriptor control)
      : program_(program), control_(std::move(control)), parent_(process::open(parent)) {
    if (!program_.ends_stopped_workers()) return;
    const auto gate = descriptor_gate();
    stops_ = descriptor(sys::signalfd(SIGCHLD));  // blocked here, as every signal is
  }

  void fork_worker(int slot, worker_ends ends) {
    const pid_t self = ::getpid();
    pid_t pid = -1;
    int error = 0;
    for (int attempt = 0; pid < 0 && (attempt == 0 || may_try_again(error, attempt)); ++attempt) {
      const fork_watchdog watchdog(parent_.pidfd());
      pid = fork_mortal();
      error = errno;
      if (pid == 0) become_worker(self, slot, std::move(ends));
    }
    if (pid < 0) return tell({.what = control_message::kind::failed, .slot = slot, .value = error});
    sys::setpgid(pid, pid);  // the worker does it too: whoever comes first, it holds before anybody relies on it
    announce(slot, pid);
  }

  // Somebody may have stopped this process when the parent closes the connection, at its death at the latest.
  void be_continued_by_parent() noexcept {
    sys::fcntl(control_.get(), F_SETOWN, ::getpid());
    sys::fcntl(control_.get(), F_SETSIG, SIGCONT);
    const int flags = sys::fcntl(control_.get(), F_GETFL);
    if (flags >= 0) sys::fcntl(control_.get(), F_SETFL, flags | O_ASYNC);
  }

  void serve() noexcept {
    be_continued_by_parent();
    tell({.what = control_message::kind::ready, .pid = ::getpid()});
    while (!gives_up_) {
      try {
        if (!attend()) return;
      } catch (const std::bad_alloc&) {  // nothing is lost: it is all asked for again (A1)
        constexpr int moment_ms = 1;
        sys::poll(nullptr, 0, moment_ms);
      }
    }
  }

  // Nobody is left to want the workers.
  void kill_everybody() noexcept {
    for (const auto& worker : workers_) kill_group(worker.handle);
    constexpr auto patience = std::chrono::milliseconds(500);
    for (const auto& worker : workers_) {
      if (worker.handle.wait_ended(steady::now() + patience)) std::ignore = worker.handle.reap();
    }
  }

 private:
  // What has just ended counts until it is buried, the process that made this one above all: where processes are few,
  // there may be room for the only worker in a moment (H3).
  [[nodiscard]] bool may_try_again(int error, int attempt) const noexcept {
    constexpr int attempts = 50;
    if (error != EAGAIN || !workers_.empty() || attempt >= attempts) return false;
    sys::poll(nullptr, 0, 2);
    return true;
  }

  struct living {
    int slot;
    process handle;
    steady::time_point overdue_at = steady::time_point::max();  // when it will have been stopped for too long
    bool overdue = false;
  };

  // Waits for news and deals with them; false at the end of the parent or of the connection.
  bool attend() {
    watched_.assign({{control_.get(), POLLIN, 0}, {parent_.pidfd(), POLLIN, 0}, {stops_.get(), POLLIN, 0}});
    const auto others = watched_.size();
    for (const auto& worker : workers_) watched_.push_back({worker.handle.pidfd(), POLLIN, 0});
    if (sys::poll(watched_.data(), watched_.size(), milliseconds_until(next_overdue())) < 0) return true;
    if (watched_[1].revents != 0) return false;
    // Deaths first, so that a slot's old worker is reported ended before its new one starts.
    for (std::size_t i = watched_.size(); i-- > others;) {
      if (watched_[i].revents != 0) bury(i - others);
    }
    if (watched_[2].revents != 0) note_stops();
    end_the_overdue();
    return watched_[0].revents == 0 || obey();
  }

  void note_stops() noexcept {
    signalfd_siginfo told;
    while (sys::read(stops_.get(), &told, sizeof told) > 0) continue;
    for (auto& worker : workers_) {
      const auto stopped = worker.handle.newly_stopped();
      if (!stopped) continue;
      worker.overdue_at = *stopped ? steady::now() + stop_patience : steady::time_point::max();
    }
  }

  [[nodiscard]] steady::time_point next_overdue() const noexcept {
    auto next = steady::time_point::max();
    for (const auto& worker : workers_) next = std::min(next, worker.overdue_at);
    return next;
  }

  void end_the_overdue() noexcept {
    const auto now = steady::now();
    for (auto& worker : workers_) {
      if (now < worker.overdue_at) continue;
      if (now - worker.overdue_at > stop_patience) {  // this process was stopped as well
        worker.overdue_at = now + stop_patience;
        continue;
      }
      worker.overdue_at = steady::time_point::max();
      worker.overdue = true;
      kill_group(worker.handle);
    }
  }

  [[noreturn]] void become_worker(pid_t spawner, int slot, worker_ends ends) noexcept {
    fork_watchdog::forget();
    sys::reach(sys::moment::forked);
    const int stream = ends.stream.release();
    const int log = ends.log.release();
    start_child({stream, log}, "lenskit-worker");
    if (!die_with_parent(spawner)) ::_exit(1);
    volunteer_for_out_of_memory();
    leave_signals_to(parent_.pid());
    receive_signals();
    program_.run(slot, {descriptor(stream), descriptor(log)});
    leave_child(0);
  }

  void announce(int slot, pid_t pid) {
    int error = 0;
    try {
      workers_.push_back({slot, process::open(pid)});
    } catch (const std::system_error& failure) {
      error = failure.code().value();
    } catch (const std::exception&) {
      error = ENOMEM;
    }
    if (error != 0) {  // no handle, no way to watch it: the slot's fork counts as failed
      ::kill(-pid, SIGKILL);
      ::kill(pid, SIGKILL);
      sys::retry([&]() noexcept { return ::waitpid(pid, nullptr, __WALL); });
      tell({.what = control_message::kind::failed, .slot = slot, .value = error});
      return;
    }
    const int pidfd = workers_.back().handle.pidfd();
    tell({.what = control_message::kind::started, .slot = slot, .pid = pid}, {&pidfd, 1});
  }

  // The dead worker pins its process group, so the signal to the group cannot hit a stranger before it is reaped (P4,
  // F7).
  static void kill_group(const process& worker) noexcept {
    sys::kill(-worker.pid(), SIGKILL);
    std::ignore = reach(worker, SIGKILL);
  }

  // By its number where a sandbox refuses the handle (H1): a child that is not reaped yet keeps it. False if neither is
  // allowed.
  static bool reach(const process& worker, int signal) noexcept {
    return worker.signal(signal) || sys::kill(worker.pid(), signal) == 0;
  }

  void bury(std::size_t which) {
    const auto& worker = workers_[which];
    kill_group(worker.handle);
    auto status = worker.handle.reap();
    if (!status) return;
    status->stopped = worker.overdue;
    const control_message message{
        .what = control_message::kind::ended, .slot = worker.slot, .pid = worker.handle.pid(), .status = *status};
    workers_.erase(workers_.begin() + static_cast<std::ptrdiff_t>(which));
    tell(message);
  }

  // A parent that does not hear of a worker would wait for it for ever: better that it sees the spawner go.
  void tell(const control_message& message, std::span<const int> attached = {}) noexcept {
    if (!send_control(control_.get(), message, attached)) gives_up_ = true;
  }

  bool obey() {
    auto request = receive_control(control_.get(), blocking::dont_wait);
    if (!request) return true;
    if (request->closed) return false;
    if (request->message.what == control_message::kind::signal) {
      pass_on(request->message.pid, request->message.value);
      return true;
    }
    if (request->attached.size() != 2) {  // out of descriptors on the way
      tell({.what = control_message::kind::failed, .slot = request->message.slot, .value = EMFILE});
      return true;
    }
    fork_worker(request->message.slot, {std::move(request->attached[0]), std::move(request->attached[1])});
    return true;
  }

  // A worker that nobody can kill dies with this process at the latest.
  void pass_on(pid_t pid, int signal) noexcept {
    for (const auto& worker : workers_) {
      if (worker.handle.pid() == pid && !reach(worker.handle, signal) && signal == SIGKILL) gives_up_ = true;
    }
  }

  worker_program& program_;
  descriptor control_;
  process parent_;
  descriptor stops_;  // tells that a worker may have been stopped; empty where nobody cares
  std::vector<living> workers_;
  std::vector<pollfd> watched_;
  bool gives_up_ = false;  // the parent misses a message, or a worker cannot be killed
};

// Until the end of the parent or of the connection.
void live(void* life_of) {
  auto& life = *static_cast<spawner_life*>(life_of);
  life.serve();
  life.kill_everybody();
  leave_child(0);
}

}  // namespace

// Every signal but SIGKILL stays blocked in this process: what the terminal or an administrator sends is for the
// parent, whose end ends this process too.
void run_spawner(worker_program& program, const spawner_start& how) noexcept {
  start_child({how.control}, "lenskit-spawner");
  if (how.beside_threads) try_inherited_locks();
  try {
    spawner_life life(program, how.parent, descriptor(how.control));
    if (::getppid() != how.parent) leave_child(0);
    if (how.as_orphan) continue_as_orphan(live, &life);
    outlive_parent_thread();
    live(&life);
  } catch (const std::exception&) {  // no descriptors
  }
  leave_child(0);
}

}  // namespace lenskit::detail
