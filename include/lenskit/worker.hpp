// Where am I: code that runs in both the parent and the workers can ask.
#pragma once

#include <optional>

namespace lenskit {

/// Whether the caller runs in a worker of a pool or in a subprocess of `run_sp`.
///
///     if (!lenskit::is_worker()) std::puts("starting");   // once, and not in every worker
///
/// Workers of the engine `threads` count: the thread is the worker. With the engine `in_process` there is no worker, so
/// this is what it was before. Never throws, never blocks; safe in any thread and in forked children. A thread
/// that `fn` starts by itself counts in a worker process, but not with the engine `threads`.
///
/// LensKit: the same, `lenskit.util.parallel.is_worker`.
[[nodiscard]] bool is_worker() noexcept;

/// Whether the caller runs in a worker of a pool; false under `run_sp`.
///
///     const int n_threads = lenskit::is_mp_worker() ? 1 : 8;
///
/// Never throws, never blocks; safe in any thread and in forked children.
///
/// LensKit: the same, `lenskit.util.parallel.is_mp_worker`.
[[nodiscard]] bool is_mp_worker() noexcept;

/// The place of this worker in its pool, from 0 to `n_jobs() - 1`; empty outside of a worker and under `run_sp`.
///
///     auto& cache = caches[lenskit::worker_index().value_or(0)];
///
/// A worker that replaces a dead one takes its index. Which tasks an index gets is not defined: never derive results or
/// seeds from it (see `task_seed`). Never throws, never blocks; safe in any thread and in forked children.
///
/// LensKit: has no such number.
[[nodiscard]] std::optional<int> worker_index() noexcept;

}  // namespace lenskit
