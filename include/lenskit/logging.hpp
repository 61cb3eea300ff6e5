// Records of workers in the parent's logs: nothing has to be called, this is what a sink or a formatter can ask.
//
// In a worker every logger of spdlog's registry, asynchronous ones too, hands its records to the parent, where they
// pass through the logger of the same name (or else the default one), its level and its sinks. What is worth knowing:
// * A logger that is not registered when the worker starts keeps its own sinks there, and an asynchronous one may hang.
// * A logger that `fn` makes with one of spdlog's factories is passed on at once; one that it makes by hand and
//   registers, from the next chunk of tasks on.
// * A class of the user that derives from spdlog::logger runs its `sink_it_` twice: in the worker, then in the parent.
// * A parent that does not read for a second (ten for warnings and above) makes workers drop records; of what they log
//   while a sink hangs, the parent drops what there is no room for. How many these are is logged.
// * Sinks are called by a thread of the library, one after the other. All signals are blocked there, and a `fork` of
//   the program waits until it is in no sink, a second at most. A sink may call the pool whose worker logged.
// * The records of a task are in the sinks before its result is yielded, unless a sink hangs: after a tenth of a second
//   results go on without, until it has caught up, and a warning says so. `shutdown` waits a second for what is left,
//   the end of the program two.
#pragma once

#include <sys/types.h>

#include <spdlog/pattern_formatter.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace lenskit {

/// Where a log record that came from a worker was made.
struct log_origin {
  pid_t pid = 0;                                 ///< the process that made the record
  std::optional<int> worker;                     ///< its `worker_index()`; empty under `run_sp`
  std::chrono::steady_clock::time_point time{};  ///< when, on the clock that orders the records of all processes
};

/// The origin of the record that the calling thread is logging right now; null for the parent's own records.
///
///     void my_sink::sink_it_(const spdlog::details::log_msg& msg) {
///       if (auto* origin = lenskit::current_log_origin()) write(origin->pid, msg.payload);
///     }
///
/// Meant for sinks, formatters and loggers of the user. Valid until the sink returns. Behind a `spdlog::async_logger`
/// the sinks run later on another thread, where this is null. Never throws, never blocks; a value per thread.
///
/// LensKit: every message carries the worker's name through its log handler; here the record's own fields stay as
/// they were, and this is beside them.
[[nodiscard]] const log_origin* current_log_origin() noexcept;

/// A flag for `spdlog::pattern_formatter` that prints the pid of the process that made the record.
///
///     formatter->add_flag<lenskit::worker_pid_flag>('P').set_pattern("[%P] %v");
///
/// For records of this process that is its own pid, as with spdlog's `%P`. Limits as `current_log_origin`.
class worker_pid_flag : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& msg, const std::tm& time, spdlog::memory_buf_t& dest) override;
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override;
};

/// A formatter for `pattern` in which `%P` is the pid of the worker that made the record.
///
///     spdlog::set_formatter(lenskit::worker_pattern("%T [%P] %^%l%$ %v"));
///
/// Throws what spdlog's pattern formatter throws. Does not block. Not safe to share between sinks: each needs its own,
/// as `spdlog::set_formatter` and `logger::set_formatter` see to.
///
/// LensKit: no counterpart.
[[nodiscard]] std::unique_ptr<spdlog::formatter> worker_pattern(std::string pattern);

}  // namespace lenskit
