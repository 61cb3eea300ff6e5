// How many processes and CPUs to use.
#pragma once

#include <optional>

namespace lenskit {

/// What `proc_count` takes into account.
struct proc_count_options {
  std::optional<int> core_div = 2;   ///< the share of the CPUs: one worker for so many; empty turns it off
  std::optional<int> max_default{};  ///< the most that the share may come to; no limit on what was configured
  int level = 0;                     ///< 0 for the program's workers, 1 for what each of them may use, and so on
};

/// The number of jobs that a parallel operation should use.
///
///     lenskit::invoker inv(model, fn, lenskit::proc_count({.max_default = 8}));
///
/// The first of these that there is: `num_procs` given to `initialize` (at level 0), the `LK_NUM_PROCS` variable,
/// `num_procs` of the configuration files (at level 0), and the share of the CPUs.
/// `LK_NUM_PROCS` has a number for each level, "7,3", and 1 past its end; -1 stands for all CPUs, 0 for no number. The
/// share is at level 0 `max(cpus / core_div, 1)` but at most `max_default`, at level 1 `core_div`, and 1 deeper or
/// without a `core_div`. The CPUs are `num_cpus` where it is set, else `effective_cpu_count()`.
///
/// Throws `settings_error` for a variable that is no list of numbers, naming it and its value, and
/// `std::invalid_argument` for a negative level or a `core_div` or `max_default` below 1. Reads small files, never
/// blocks otherwise; safe in any thread and after fork. In a worker it is 1 unless the worker was told otherwise.
///
/// LensKit: `proc_count` of 0.14, whose CPUs are the machine's, without regard to affinity and quotas.
[[nodiscard]] int proc_count(const proc_count_options& options = {});

/// The number of CPUs this process may use: at least 1.
///
///     std::printf("%d CPUs\n", lenskit::effective_cpu_count());
///
/// The least of the CPUs that are online, the scheduler's affinity mask, the CPU quota of each control group around the
/// process (versions 1 and 2; a fraction counts as a whole CPU), and what Slurm gave the task
/// (`SLURM_CPUS_PER_TASK`, else `SLURM_CPUS_ON_NODE`). Looks each time, which takes some small reads from
/// /proc and /sys; what it cannot read it takes for no limit. Safe in any thread and after fork.
///
/// LensKit: takes affinity into account, not quotas.
[[nodiscard]] int effective_cpu_count();

}  // namespace lenskit
