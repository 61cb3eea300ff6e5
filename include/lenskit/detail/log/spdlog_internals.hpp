// The parts of spdlog that have no public door, and the only place that depends on them (spdlog 1.5 and later).
#pragma once

#include <spdlog/async_logger.h>
#include <spdlog/formatter.h>
#include <spdlog/logger.h>

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace lenskit::detail {

/// The protected members of a logger, reached the way a derived class reaches them.
struct logger_door : spdlog::logger {
  static void log_it(spdlog::logger& to, const spdlog::details::log_msg& message, bool log, bool backtrace) {
    (to.*(&logger_door::log_it_))(message, log, backtrace);
  }
  static spdlog::details::backtracer& tracer(spdlog::logger& of) { return of.*(&logger_door::tracer_); }
  static spdlog::err_handler& error_handler(spdlog::logger& of) { return of.*(&logger_door::custom_err_handler_); }
};

/// Whether spdlog's registry can still be used: it is destroyed when the program ends, behind the program's own objects
/// but before those of libraries that were loaded earlier.
[[nodiscard]] bool registry_lives() noexcept;

/// The mutex of spdlog's registry of loggers.
[[nodiscard]] std::mutex& registry_mutex() noexcept;

/// Spdlog's registry, held if nobody else uses it: a flush of all loggers, or `spdlog::apply_all`, may use it for
/// seconds. Never waits, and never holds one that is gone. To be used within a `foreign_call`.
class registry_glance {
 public:
  registry_glance() noexcept {
    if (registry_lives()) held_ = std::unique_lock(registry_mutex(), std::try_to_lock);
  }
  explicit operator bool() const noexcept { return held_.owns_lock(); }

  // Only while it is held.
  [[nodiscard]] const std::unordered_map<std::string, std::shared_ptr<spdlog::logger>>& loggers() const noexcept;
  /// The logger of that name, else the default one, which may be null.
  [[nodiscard]] std::shared_ptr<spdlog::logger> logger_or_default(const std::string& name) const;

 private:
  std::unique_lock<std::mutex> held_;
};

/// How many records a logger keeps for its backtrace.
[[nodiscard]] std::size_t backtrace_room(const spdlog::details::backtracer& tracer) noexcept;

/// Gives an asynchronous logger another thread pool.
void set_thread_pool(spdlog::async_logger& logger, const std::shared_ptr<spdlog::details::thread_pool>& pool) noexcept;

/// Where a console sink keeps its formatter, guarded by spdlog's console mutex, if `sink` is one that locks it and
/// prints to the descriptor `fd`; else null.
[[nodiscard]] std::unique_ptr<spdlog::formatter>* console_formatter(spdlog::sinks::sink& sink, int& fd) noexcept;

}  // namespace lenskit::detail
