#include "spawner_process.hpp"

#include <lenskit/detail/engines/control.hpp>
#include <lenskit/detail/engines/spawner.hpp>
#include <lenskit/detail/log/quiet.hpp>
#include <lenskit/detail/os/backend_threads.hpp>
#include <lenskit/detail/os/child.hpp>
#include <lenskit/detail/os/errors.hpp>
#include <lenskit/detail/os/fork_objections.hpp>
#include <lenskit/detail/os/fork_watch.hpp>
#include <lenskit/detail/os/orphans.hpp>
#include <lenskit/detail/os/system.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>

namespace lenskit::detail {
namespace {

using namespace std::chrono_literals;

constexpr int most_attempts = 10;
constexpr auto first_patience = 1s;  // doubled with each attempt: a loaded machine is slow
constexpr auto longest_patience = 8s;
// A child that waits for a lock waits for ever: it has one thread. Beside threads that hardly ever leave the C library
// most forks meet one.
constexpr auto patience_with_locks = 10s;
constexpr auto look_every = 300us;
constexpr int most_in_a_row = 100;
constexpr int pause_ms = 20;

spawner_event event_of(received_control received) {
  spawner_event event;
  const auto& message = received.message;
  event.slot = message.slot;
  event.pid = message.pid;
  switch (message.what) {
    case control_message::kind::started:
      if (received.attached.empty()) {  // out of descriptors on the way: useless, it will see its stream close
        event.what = spawner_event::kind::failed;
        event.error = EMFILE;
        return event;
      }
      event.what = spawner_event::kind::started;
      event.worker = process(message.pid, std::move(received.attached.front()));
      return event;
    case control_message::kind::ended:
      event.what = spawner_event::kind::ended;
      event.status = message.status;
      return event;
    case control_message::kind::failed:
      event.what = spawner_event::kind::failed;
      event.error = message.value;
      return event;
    case control_message::kind::ready:
    case control_message::kind::signal:
    case control_message::kind::spawn: break;
  }
  return event;  // nothing a sane spawner says: treat it as gone
}

// Null if it has ended, and somebody else has waited for it: its connection tells the rest (P3).
process open_if_there(pid_t pid) {
  try {
    return process::open(pid);
  } catch (const std::system_error& error) {
    if (error.code().value() != ESRCH) throw;
    return {};
  }
}

}  // namespace

spawner::spawner(worker_program& program, const std::vector<worker_ends>& seats) {
  ask_fork_objections();
  prepare_backends_for_fork();  // in this very thread, or GNU OpenMP hangs in the workers (failure F3)
  auto patience = steady::duration(first_patience);
  const auto locks_until = steady::now() + patience_with_locks;
  int frozen = 0;
  for (int attempt = 0; attempt < most_attempts;) {
    fork_into(program);
    const auto reached = bring_up(seats, steady::now() + patience);
    if (reached == progress::up) return;
    process_.signal(SIGKILL);
    end();
    unread_.clear();
    if (reached == progress::frozen && steady::now() < locks_until) {
      if (++frozen > most_in_a_row) sys::poll(nullptr, 0, pause_ms);  // whoever holds the lock is not about to let go
      continue;
    }
    ++attempt;
    patience = std::min<steady::duration>(patience * 2, longest_patience);
  }
  throw std::system_error(std::make_error_code(std::errc::timed_out),
                          "cannot start workers: " + std::to_string(most_attempts) +
                              " forks in a row did not come up, probably because other threads hold locks at the time");
}

spawner::~spawner() { end(); }

void spawner::fork_into(worker_program& program) {
  auto ends = make_packet_connection();
  const spawner_start how{::getpid(), ends.second.get(), count_threads() > 1, others_bury_orphans()};
  pid_t pid = -1;
  int error = 0;
  {
    const signal_shield shield;
    pid = with_loggers_quiet([&] {
      const auto gate = descriptor_gate();
      fork_watch watch(how.beside_threads);
      const pid_t forked = fork_mortal();
      error = errno;
      if (forked == 0) watch.forget();
      return forked;
    });
    if (pid == 0) {
      std::ignore = ends.second.release();
      run_spawner(program, how);
    }
  }
  if (pid < 0) throw_errno("cannot fork the spawner of the workers", error);
  control_ = std::move(ends.first);
  is_ready_ = false;
  looks_asleep_ = 0;
  is_child_ = true;
  try {
    process_ = open_if_there(pid);
  } catch (...) {
    control_.reset();  // ends the spawner
    sys::retry([&]() noexcept { return ::waitpid(pid, nullptr, __WALL); });
    throw;
  }
}

int spawner::most_unanswered() noexcept {
  constexpr std::uint64_t most = 16;
  constexpr std::uint64_t share = 8;  // three descriptors a worker are on the way, and other pools' as well
  return static_cast<int>(std::clamp<std::uint64_t>(sys::descriptor_limit() / share, 1, most));
}

// Returns when the first worker runs and all are asked for, or the spawner is not to be waited for. Throws what it
// could not do.
spawner::progress spawner::bring_up(const std::vector<worker_ends>& seats, steady::time_point deadline) {
  const auto at_once = static_cast<std::size_t>(most_unanswered());
  std::size_t asked = 0;
  std::size_t answered = 0;
  while (answered == 0 || asked < seats.size()) {
    for (; asked < seats.size() && asked < answered + at_once; ++asked) {
      if (!spawn(static_cast<int>(asked), seats[asked])) return progress::slow;
    }
    pollfd watched{control_.get(), POLLIN, 0};
    const auto left = std::max<std::chrono::nanoseconds>(deadline - steady::now(), 0ns);
    if (sys::poll(&watched, 1, is_ready_ ? left : std::min<std::chrono::nanoseconds>(left, look_every)) < 0 &&
        !sys::interrupted())
      throw_errno("cannot wait for workers");
    auto event = read_event();
    if (!event) {
      if (steady::now() >= deadline) return progress::slow;
      if (!is_ready_ && is_frozen()) return progress::frozen;
      continue;
    }
    if (event->what == spawner_event::kind::gone) return progress::slow;
    if (event->what == spawner_event::kind::failed && answered == 0) {
      end();
      throw_errno("cannot create worker " + std::to_string(event->slot), event->error);
    }
    answered += event->what != spawner_event::kind::ended;
    unread_.push_back(std::move(*event));
  }
  return progress::up;
}

// Whether the child waits for a lock. If it is one of the C library's, the next fork holds it itself.
bool spawner::is_frozen() {
  const auto seen = look_at(process_.pid());
  if (seen.what == sight::state::waits_for_lock) {
    hold_at_forks(seen.futex, seen.has_readers);
    return true;
  }
  // A lock that is just being passed on makes it spin instead.
  if (process_.processor_time() > may_compute_) {
    may_compute_ += may_compute_ / 4;
    return true;
  }
  constexpr int long_asleep = 60;  // looks: it does nothing that takes so long, unless it has to wait for ever
  looks_asleep_ = seen.what == sight::state::sleeps ? looks_asleep_ + 1 : 0;
  return looks_asleep_ > long_asleep;
}

// It serves, as the process `pid`.
void spawner::take_over(pid_t pid) {
  is_ready_ = true;
  if (pid == process_.pid()) return;
  // The process that was forked ends at this moment. Gone without a trace, it needs no descriptor any more either.
  constexpr auto moment = 10s;
  if (process_) {
    std::ignore = process_.wait_ended(steady::now() + moment);
    std::ignore = process_.reap();
  }
  process_ = process();
  is_child_ = false;
  process_ = open_if_there(pid);
  // It holds the other end of the connection. If that is still held, the number was still its own.
  pollfd end{control_.get(), 0, 0};
  if (sys::poll(&end, 1, 0) > 0) process_ = process();
}

bool spawner::spawn(int slot, const worker_ends& ends) noexcept {
  const int both[] = {ends.stream.get(), ends.log.get()};
  return send_control(control_.get(), {.what = control_message::kind::spawn, .slot = slot}, both);
}

void spawner::signal(const process& worker, int signal) const noexcept {
  if (worker.signal(signal)) return;
  control_message request{.what = control_message::kind::signal, .pid = worker.pid(), .value = signal};
  const iovec part{&request, sizeof request};
  send_some(control_.get(), {&part, 1}, blocking::dont_wait);
}

void spawner::kill() const noexcept {
  if (!process_.signal(SIGKILL)) ::shutdown(control_.get(), SHUT_RDWR);  // not allowed: it ends by itself then
}

std::optional<spawner_event> spawner::next() {
  if (!unread_.empty()) {
    auto event = std::move(unread_.front());
    unread_.pop_front();
    return event;
  }
  return read_event();
}

std::optional<spawner_event> spawner::read_event() {
  auto received = receive_control(control_.get(), blocking::dont_wait);
  if (!received) return std::nullopt;
  if (received->closed) return spawner_event{};
  if (received->message.what == control_message::kind::ready) {
    take_over(received->message.pid);
    return std::nullopt;
  }
  return event_of(std::move(*received));
}

void spawner::end() noexcept {
  control_.reset();
  if (!process_) return;
  constexpr auto grace = 1s;
  if (!process_.wait_ended(steady::now() + grace)) {
    process_.signal(SIGKILL);
    constexpr auto burial = 10s;  // at once, but on a machine so loaded that nothing runs; or it would stay a zombie
    std::ignore = process_.wait_ended(steady::now() + burial);
  }
  if (is_child_)
    std::ignore = process_.reap();
  else
    note_ended_orphan(process_.pid());
  bury_adopted("lenskit-worker");  // if it was killed, they have come to this process
  process_ = process();
}

}  // namespace lenskit::detail
