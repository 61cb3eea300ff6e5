#include <lenskit/detail/log/quiet.hpp>
#include <lenskit/detail/log/spdlog_internals.hpp>
#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/os/output.hpp>
#include <lenskit/detail/os/signals.hpp>

#include <spdlog/details/registry.h>
#include <spdlog/sinks/null_sink.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace lenskit::detail {
namespace {

using logger_ptr = std::shared_ptr<spdlog::logger>;
using namespace std::chrono_literals;

constexpr auto patience_for_flushing = 1s;
constexpr auto patience_for_registry = 500ms;

// Per thread: several may fork at once, and the one that forks is the one that a child has.
thread_local constinit bool was_quiet = true;

// A mutex without a timed lock; it is normally free at once.
bool free_within(std::mutex& mutex, std::chrono::milliseconds limit) {
  const auto deadline = steady::now() + limit;
  for (;;) {
    if (const std::unique_lock held(mutex, std::try_to_lock); held) return true;
    if (steady::now() >= deadline) return false;
    std::this_thread::sleep_for(100us);
  }
}

// Console sinks flush each line and null sinks nothing, so the usual program has nothing to flush.
bool has_something_to_flush(const spdlog::logger& logger) {
  return std::any_of(logger.sinks().begin(), logger.sinks().end(), [](const spdlog::sink_ptr& sink) {
    int fd = -1;
    return console_formatter(*sink, fd) == nullptr && dynamic_cast<spdlog::sinks::null_sink_mt*>(sink.get()) == nullptr;
  });
}

// A sink of the user may block for ever, so the flushing is done by a thread that can be left behind. If one is, the
// next forks do without.
void flush_loggers(std::vector<logger_ptr> loggers) {
  struct state {
    std::mutex mutex;
    std::condition_variable done;
    bool is_done = false;
  };
  static std::atomic<bool> busy{false};
  if (loggers.empty() || busy.exchange(true)) return;
  const auto shared = std::make_shared<state>();
  auto flusher = quiet_thread([shared, loggers = std::move(loggers)]() mutable {
    for (const auto& logger : loggers) try {
        logger->flush();
      } catch (...) {  // its own concern
      }
    loggers.clear();
    busy = false;
    const std::lock_guard held(shared->mutex);
    shared->is_done = true;
    shared->done.notify_all();
  });
  std::unique_lock held(shared->mutex);
  const bool done = shared->done.wait_for(held, patience_for_flushing, [&] { return shared->is_done; });
  held.unlock();
  if (done)
    flusher.join();
  else
    flusher.detach();
}

}  // namespace

bool registry_was_quiet() noexcept { return was_quiet; }

void call_with_loggers_quiet(void (*call)(void*), void* context) {
  if (!registry_lives()) throw std::logic_error("cannot start workers: the program is ending, and spdlog has ended");
  auto& registered = spdlog::details::registry::instance();
  was_quiet = free_within(registry_mutex(), patience_for_registry);
  if (was_quiet) {
    std::vector<logger_ptr> loggers;
    registered.apply_all([&](const logger_ptr& logger) {
      if (has_something_to_flush(*logger)) loggers.push_back(logger);
    });
    try {
      flush_loggers(std::move(loggers));
    } catch (const std::system_error&) {  // no thread to be had: the fork will say so better
    }
  }
  write_output_before_fork();
  bool called = false;
  if (was_quiet) {
    registered.apply_all([&](const logger_ptr&) {
      if (std::exchange(called, true)) return;
      call(context);
    });
  }
  if (!called) call(context);
}

}  // namespace lenskit::detail
