// Keeps the library from forking while something lives in the process that does not survive it.
#pragma once

#include <lenskit/detail/os/fork_objections.hpp>

#include <functional>
#include <memory>
#include <string>

namespace lenskit {

/// For as long as it lives, no process is forked for an invoker or `run_sp` while `refuses` returns true.
///
///     const lenskit::fork_guard no_gpu("CUDA is initialised", [] { return cuda_is_initialised(); });
///     lenskit::invoker inv(model, fn, 2);   // throws lenskit::fork_refused: "... : CUDA is initialised"
///
/// Drivers such as CUDA's do not survive a fork, and their calls in a worker fail in obscure ways or hang. The
/// predicate is asked on the thread that makes the invoker, before anything is forked; what it throws goes to the
/// caller. The engines in_process and threads fork nothing and ask nobody. `why` ends up in the exception's message.
///
/// Thread-safe: guards may come and go while other threads make invokers, but a predicate may still run on such a
/// thread for a moment after its guard has ended. Workers inherit the guards. Throws std::invalid_argument if `refuses`
/// is empty.
///
/// LensKit: has none; it starts its workers with spawn, which inherits no driver.
class [[nodiscard]] fork_guard {
 public:
  fork_guard(std::string why, std::function<bool()> refuses);
  ~fork_guard();
  fork_guard(const fork_guard&) = delete;
  fork_guard& operator=(const fork_guard&) = delete;

 private:
  std::shared_ptr<const detail::fork_objection> objection_;
};

}  // namespace lenskit
