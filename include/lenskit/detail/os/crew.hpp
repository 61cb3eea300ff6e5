// A few threads for a moment, to copy or check a lot of memory with all cores.
#pragma once

#include <cstddef>
#include <functional>

namespace lenskit::detail {

/// Calls `job(i)` for every i below `jobs`, on at most `threads` threads, of which the caller's is one; returns when
/// all are done. If calls throw, no more are begun, and one of the exceptions is thrown on. The helpers block all
/// signals: a handler of the host program never runs on a thread that it does not know. With too few threads to be
/// had, the caller does the work.
void run_crew(std::size_t jobs, std::size_t threads, const std::function<void(std::size_t)>& job);

/// The number of CPUs that the scheduler may put this process on, at least 1.
std::size_t usable_processors() noexcept;

}  // namespace lenskit::detail
