// What takes the place of a worker's sinks and formatters: the record goes to the parent, as plain fields.
#pragma once

#include <spdlog/formatter.h>
#include <spdlog/sinks/sink.h>

#include <memory>
#include <string>

namespace lenskit::detail {

/// Reports one record. Neither throws nor formats: `localtime_r` can hang in a forked child (failure F1).
void write_log_report(const spdlog::details::log_msg& message) noexcept;

/// Remembers the thread number that spdlog has cached for the calling thread, the main one of a fresh worker: it is a
/// parent's, and records that carry it get the right one.
void note_inherited_thread() noexcept;

/// The sink of every logger a worker inherits.
class pipe_sink final : public spdlog::sinks::sink {
 public:
  void log(const spdlog::details::log_msg& message) override { write_log_report(message); }
  void flush() override {}
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}
};

/// The formatter of loggers that are created in a worker, until their sinks are replaced as well: it reports the record
/// and leaves nothing for the sink to print.
class diverting_formatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& dest) override;
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override;
};

}  // namespace lenskit::detail
