#include <lenskit/detail/log/pipe_sink.hpp>
#include <lenskit/detail/log/quiet.hpp>
#include <lenskit/detail/log/spdlog_internals.hpp>
#include <lenskit/detail/log/worker_logging.hpp>
#include <lenskit/detail/log/worker_progress.hpp>

#include <spdlog/async_logger.h>
#include <spdlog/details/console_globals.h>
#include <spdlog/details/registry.h>
#include <spdlog/details/thread_pool.h>

#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <typeinfo>
#include <utility>
#include <vector>

namespace lenskit::detail {
namespace {

using spdlog::details::registry;

// The sinks of a worker outlive everything, and so does what they replaced.
spdlog::sink_ptr* the_sink = nullptr;

// What is kept stays reachable, so that no leak checker complains.
template <class T>
void keep_for_ever(T value) {
  static auto* kept = new std::vector<std::shared_ptr<void>>;
  kept->push_back(std::make_shared<T>(std::move(value)));
}

std::vector<std::byte> bytes_of(const void* object, std::size_t bytes) {
  std::vector<std::byte> copy(bytes);
  std::memcpy(copy.data(), object, bytes);
  return copy;
}

void write_failure(const std::string& logger, const std::string& what) {
  write_log_report({spdlog::string_view_t(logger), spdlog::level::err, spdlog::string_view_t("cannot log: " + what)});
}

// The mutex of the backtrace may be held by a thread that is not here, and the ring may be half written.
void renew_backtrace(spdlog::details::backtracer& tracer) {
  const bool enabled = tracer.enabled();
  const auto room = enabled ? backtrace_room(tracer) : 0;
  keep_for_ever(bytes_of(&tracer, sizeof tracer));
  ::new (static_cast<void*>(&tracer)) spdlog::details::backtracer;
  if (enabled) tracer.enable(room);
}

// One thread for what cannot be made synchronous; most workers need none. Ends with the process.
const std::shared_ptr<spdlog::details::thread_pool>& living_pool() {
  auto& registered = registry::instance();
  static std::shared_ptr<spdlog::details::thread_pool>* pool = nullptr;
  static std::uint32_t made_by = 0;
  if (std::exchange(made_by, current_process()) != current_process()) {
    constexpr std::size_t queue_size = 1024;
    pool = new auto(std::make_shared<spdlog::details::thread_pool>(queue_size, 1));
    registered.set_tp(*pool);
  }
  return *pool;
}

// An asynchronous logger hands its records to a thread pool that is not here. Users hold pointers to it, so it cannot
// be replaced by another object: the logger inside it is made anew, which gives it the virtual functions of a
// synchronous one. Everything else of it stays as it was, and destroying it is still right. A compiler that knows the
// exact class may skip virtual functions (copying it, and everything where spdlog is header-only): such a call finds a
// pool that is alive, instead of a queue that nobody empties.
void make_synchronous(spdlog::async_logger& async) {
  set_thread_pool(async, living_pool());
  spdlog::logger& logger = async;
  auto name = logger.name();
  const auto level = logger.level();
  const auto flush_level = logger.flush_level();
  auto handler = std::move(logger_door::error_handler(logger));
  const bool backtrace = logger_door::tracer(logger).enabled();
  const auto room = backtrace_room(logger_door::tracer(logger));
  keep_for_ever(bytes_of(&logger, sizeof logger));
  auto* fresh = ::new (static_cast<void*>(&logger)) spdlog::logger(std::move(name));
  fresh->set_level(level);
  fresh->flush_on(flush_level);
  fresh->set_error_handler(std::move(handler));
  if (backtrace) fresh->enable_backtrace(room);
}

bool taken_over(const spdlog::logger& logger) {
  return the_sink != nullptr && logger.sinks().size() == 1 && logger.sinks().front() == *the_sink;
}

void replace_sinks(spdlog::logger& logger) {
  keep_for_ever(std::move(logger.sinks()));
  logger.sinks().assign(1, *the_sink);
  // spdlog's own handler asks for the local time, which can hang in a forked child.
  if (auto& handler = logger_door::error_handler(logger); !handler)
    handler = [name = logger.name()](const std::string& what) { write_failure(name, what); };
}

void take_over_inherited(spdlog::logger& logger) {
  if (taken_over(logger) && typeid(logger) == typeid(spdlog::logger))
    return renew_backtrace(logger_door::tracer(logger));
  keep_for_ever(std::move(logger.sinks()));
  if (auto* async = dynamic_cast<spdlog::async_logger*>(&logger))
    make_synchronous(*async);
  else
    renew_backtrace(logger_door::tracer(logger));
  replace_sinks(logger);
}

}  // namespace

void start_worker_logging(int pipe_fd) noexcept try {
  start_reports(pipe_fd);
  note_inherited_thread();
  start_worker_progress();
  // A fork within a fork takes over its parent's sink; a sink holds nothing, so one does for all.
  if (the_sink == nullptr) the_sink = new spdlog::sink_ptr(std::make_shared<pipe_sink>());

  // Other threads of the parent may have held these two. What they guard is not used again: the console sinks are gone
  // and the pool of the asynchronous loggers has no threads here.
  auto& registered = registry::instance();
  ::new (static_cast<void*>(&spdlog::details::console_mutex::mutex())) std::mutex;
  ::new (static_cast<void*>(&registered.tp_mutex())) std::recursive_mutex;
  keep_for_ever(registered.get_tp());
  registered.set_tp(nullptr);

  if (!registry_was_quiet()) {
    // Somebody held the registry for good. The default logger can be reached without it.
    if (auto* logger = spdlog::details::registry::instance().get_default_raw()) take_over_inherited(*logger);
    return;
  }
  registered.apply_all([](const std::shared_ptr<spdlog::logger> logger) {
    keep_for_ever(logger);
    take_over_inherited(*logger);
  });
  registered.set_formatter(std::make_unique<diverting_formatter>());
} catch (...) {
  // Only memory can have run out. The worker goes on with what logging it has.
}

void adopt_new_loggers() noexcept try {
  if (the_sink == nullptr || !registry_was_quiet()) return;
  registry::instance().apply_all([](const std::shared_ptr<spdlog::logger> logger) {
    // An asynchronous logger made here has a living thread that uses its sinks: its formatters do the work.
    if (!taken_over(*logger) && dynamic_cast<spdlog::async_logger*>(logger.get()) == nullptr) replace_sinks(*logger);
  });
} catch (...) {}

void apply_levels(std::string_view encoded) noexcept try {
  while (!encoded.empty()) {
    const auto end = encoded.find('\0');
    if (end == std::string_view::npos || end == 0) return;
    const int level = encoded.front() - '0';
    if (level < 0 || level >= spdlog::level::n_levels) return;
    if (const auto logger = registry::instance().get(std::string(encoded.substr(1, end - 1))))
      logger->set_level(static_cast<spdlog::level::level_enum>(level));
    encoded.remove_prefix(end + 1);
  }
} catch (...) {}

}  // namespace lenskit::detail
