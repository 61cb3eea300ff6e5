// Turns the logging of a freshly forked process into reports to its parent.
#pragma once

#include <lenskit/detail/log/report_writer.hpp>

#include <cstdint>
#include <string_view>

namespace lenskit::detail {

/// In a process that was just forked, before any code of the user: from here on every record of every registered
/// logger goes through `pipe_fd` (see `start_reports`). Inherited sinks are neither locked, nor flushed, nor destroyed;
/// asynchronous loggers become synchronous, because their thread is not here; levels, names and error handlers stay.
/// A logger that was dropped from spdlog's registry before the fork is not found and keeps its sinks.
/// The fork must have happened inside `with_loggers_quiet`, or in a process with one thread.
void start_worker_logging(int pipe_fd) noexcept;

/// Does the same to the loggers that were registered since. Cheap; not while other threads of the worker log through a
/// logger they have just made.
void adopt_new_loggers() noexcept;

/// Sets the levels of the loggers that exist here too, as `logger_levels` of the parent has them. Ignores what it
/// cannot read.
void apply_levels(std::string_view encoded) noexcept;

}  // namespace lenskit::detail
