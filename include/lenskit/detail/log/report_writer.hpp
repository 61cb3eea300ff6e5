// The worker's end of the report pipe. Allocates nothing and takes no lock, so a crash handler may use it too.
#pragma once

#include <lenskit/detail/log/report.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace lenskit::detail {

/// One of the pieces a report is put together from.
struct report_part {
  const void* data;
  std::size_t bytes;
};

/// How long a report may wait while the pipe is full, counted from when it got stuck: after that the report is dropped
/// and counted, so a parent that stopped reading costs a worker this once and not at each report (failure L2).
enum class patience : std::uint8_t {
  none,   ///< drop at once
  brief,  ///< 1 s
  full,   ///< 10 s
};

/// From here on this process reports through `pipe_fd`, the non-blocking write end of a pipe that the caller keeps
/// open. Numbers start again at 1. SIGPIPE must be blocked or ignored: a reader that is gone only means that reports
/// are dropped.
void start_reports(int pipe_fd) noexcept;

/// While the calling thread waits for room in the pipe, `waiting` is 1, and what it has waited is added to
/// `started_at` (monotonic ns), unless that is 0: how long the reader takes is not the time of the task that reports
/// (K2). Both must outlive the process's last report; a fork leaves them alone.
void tell_waits(std::atomic<std::uint32_t>& waiting, std::atomic<std::int64_t>& started_at) noexcept;

/// Whether this process, or one it was forked from, has called `start_reports`.
[[nodiscard]] bool reports_started() noexcept;

/// Writes one report. False if it was dropped, wholly or from some fragment on. Async-signal-safe; keeps errno.
bool write_report(report_kind kind, patience wait, std::initializer_list<report_part> parts) noexcept;

/// Written only in a process that has just been forked, by its one thread.
extern bool reports_are_foreign;

/// Whether this process is a fork of the one that called `start_reports`, and has not called it itself. Asked for each
/// task.
[[nodiscard]] inline bool reports_for_another() noexcept { return reports_are_foreign; }

/// The number of reports that this process has begun to write, on all its threads, the dropped ones included. A reader
/// that has seen as many has seen everything written before this was called.
[[nodiscard]] std::uint64_t reports_written() noexcept;

/// Tells the parent about dropped reports if it has not been told yet. For the end of a worker.
void write_drops() noexcept;

/// Reports a crash: where the stack was, and a text such as the message of an exception that nobody caught.
void write_crash_report(int signal, int code, const void* address, void* const* frames, std::size_t n_frames,
                        std::string_view text) noexcept;

/// The kernel's number of the calling thread; right in forked children too.
[[nodiscard]] std::uint32_t current_thread() noexcept;
/// The number of this process; right in forked children too, and no system call.
[[nodiscard]] std::uint32_t current_process() noexcept;

}  // namespace lenskit::detail
