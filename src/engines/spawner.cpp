#include "spawner_process.hpp"

#include <lenskit/detail/engines/control.hpp>
#include <lenskit/detail/engines/spawner.hpp>
#include <lenskit/detail/log/quiet.hpp>
#include <lenskit/detail/os/backend_threads.hpp>
#include <lenskit/detail/os/child.hpp>
#include <lenskit/detail/os/errors.hpp>
#include <lenskit/detail/os/fork_objections.hpp>
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
constexpr auto first_patience = 1s;  // doubled with each attempt: a loaded machine is slow, a frozen child stays frozen
constexpr auto longest_patience = 8s;

exit_status status_of(const control_message& message) {
  exit_status status;
  if (message.by_signal == 1) status.signal = message.value;
  if (message.by_signal == 0) status.exit_code = message.value;
  status.core_dumped = message.core_dumped != 0;
  status.stopped = message.stopped != 0;
  status.peak_memory = message.peak_memory;
  return status;
}

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
      event.status = status_of(message);
      return event;
    case control_message::kind::failed:
      event.what = spawner_event::kind::failed;
      event.error = message.value;
      return event;
    case control_message::kind::spawn: break;
  }
  return event;  // nothing a sane spawner says: treat it as gone
}

}  // namespace

spawner::spawner(worker_program& program, const std::vector<worker_ends>& seats) {
  auto patience = std::chrono::steady_clock::duration(first_patience);
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    fork_into(program);
    if (bring_up(seats, steady::now() + patience)) return;
    end();
    unread_.clear();
    patience = std::min<steady::duration>(patience * 2, longest_patience);
  }
  throw std::system_error(std::make_error_code(std::errc::timed_out),
                          "cannot start workers: " + std::to_string(most_attempts) +
                              " forks in a row did not come up, probably because other threads hold locks at the time");
}

spawner::~spawner() { end(); }

void spawner::fork_into(worker_program& program) {
  ask_fork_objections();
  prepare_backends_for_fork();  // in this very thread, or GNU OpenMP hangs in the workers (failure F3)
  auto ends = make_packet_connection();
  const pid_t parent = ::getpid();
  pid_t pid = -1;
  int error = 0;
  {
    const signal_shield shield;
    pid = with_loggers_quiet([&] {
      const auto gate = descriptor_gate();
      const pid_t forked = sys::fork();
      error = errno;
      return forked;
    });
    if (pid == 0) run_spawner(program, parent, ends.second.release());
  }
  if (pid < 0) throw_errno("cannot fork the spawner of the workers", error);
  control_ = std::move(ends.first);
  try {
    process_ = process::open(pid);
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

// Returns when the first worker runs and all are asked for. False if the spawner froze. Throws what it could not do.
bool spawner::bring_up(const std::vector<worker_ends>& seats, steady::time_point deadline) {
  const auto at_once = static_cast<std::size_t>(most_unanswered());
  std::size_t asked = 0;
  std::size_t answered = 0;
  while (answered == 0 || asked < seats.size()) {
    for (; asked < seats.size() && asked < answered + at_once; ++asked) {
      if (!spawn(static_cast<int>(asked), seats[asked])) return false;
    }
    pollfd watched{control_.get(), POLLIN, 0};
    if (sys::poll(&watched, 1, milliseconds_until(deadline)) < 0 && !sys::interrupted())
      throw_errno("cannot wait for workers");
    auto event = read_event();
    if (!event) {
      if (steady::now() >= deadline) return false;
      continue;
    }
    if (event->what == spawner_event::kind::gone) return false;
    if (event->what == spawner_event::kind::failed && answered == 0) {
      end();
      throw_errno("cannot create worker " + std::to_string(event->slot), event->error);
    }
    answered += event->what != spawner_event::kind::ended;
    unread_.push_back(std::move(*event));
  }
  return true;
}

bool spawner::spawn(int slot, const worker_ends& ends) noexcept {
  const int both[] = {ends.stream.get(), ends.log.get()};
  return send_control(control_.get(), {.what = control_message::kind::spawn, .slot = slot}, both);
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
  return event_of(std::move(*received));
}

void spawner::end() noexcept {
  if (!process_) return;
  control_.reset();
  constexpr auto grace = 1s;
  if (!process_.wait_ended(steady::now() + grace)) {
    process_.signal(SIGKILL);
    constexpr auto burial = 10s;  // at once, but on a machine so loaded that nothing runs; or it would stay a zombie
    std::ignore = process_.wait_ended(steady::now() + burial);
  }
  std::ignore = process_.reap();
  process_ = process();
}

}  // namespace lenskit::detail
