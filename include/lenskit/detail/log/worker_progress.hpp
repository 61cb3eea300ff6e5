// Progress made in a worker, on its way to the bar in the parent.
#pragma once

#include <lenskit/detail/log/delivery.hpp>

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

/// Delivers the body of a progress report. In a worker it goes on to the worker's own parent. One that makes no sense
/// does nothing.
bool deliver_progress(delivery_channel* from, std::string_view body);

/// Delivers that the worker is dead: its bars go.
bool deliver_end_of_bars(delivery_channel* from, std::string_view);

}  // namespace lenskit::detail
