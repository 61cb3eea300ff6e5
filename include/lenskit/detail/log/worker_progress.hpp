// Progress made in a worker, on its way to the bar in the parent.
#pragma once

#include <sys/types.h>

#include <string_view>

namespace lenskit::detail {

class bar;

/// In a fresh worker: forgets what the process it was forked from had pending.
void start_worker_progress();

/// Counts an update of `source`, and reports it if the last report is a tenth of a second old.
void forward_progress(const bar& source, int n, std::string_view state, std::string_view from);

/// Reports what is pending for `source`. If it was made in this process, its picture in the parent goes away.
void finish_forwarding(const bar& source) noexcept;

/// Reports everything that is pending: at the end of a task, so that its progress arrives before its result.
void flush_worker_progress() noexcept;

/// Whether the body of a progress report makes sense.
[[nodiscard]] bool is_progress_report(std::string_view body);

/// In the parent: applies a report that came from worker `pid`. In a worker it goes on to the worker's own parent.
/// One that makes no sense does nothing.
void apply_progress_report(std::string_view body, pid_t pid);

/// The worker `pid` is dead: its bars go.
void close_worker_bars(pid_t pid) noexcept;

}  // namespace lenskit::detail
