// How much parallelism the program may use: from arguments, the environment and configuration files.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace lenskit {

/// The numbers that steer parallelism. 0 means that the default is to be derived.
///
///     lenskit::initialize({.num_threads = 4});
///
/// -1 stands for all CPUs, and for the two numbers of backend threads "hands off": they stay as they are. A plain
/// value; nothing here blocks, and it is as safe in threads as an int.
///
/// LensKit: `ParallelSettings`, with `num_procs` and `num_child_threads` of the releases that had processes.
struct parallel_settings {
  int num_cpus = 0;             ///< CPUs the defaults are derived from; `effective_cpu_count()`
  int num_procs = 0;            ///< worker processes; the CPUs, but at most 4
  int num_batch_jobs = 0;       ///< concurrent jobs of a batch; `num_threads`
  int num_threads = 0;          ///< the program's own threads; the CPUs, but at most 8
  int num_backend_threads = 0;  ///< threads of BLAS and OpenMP in the program; cpus / threads, within 1 and 4
  int num_child_threads = 0;    ///< threads of BLAS and OpenMP in a worker; cpus / procs, within 1 and 4
  bool use_ray = false;         ///< not available here; true is an error when the settings are put to use

  /// Replaces each 0 by its default, and -1 by the number of CPUs where it stands for that. Throws `settings_error`
  /// for numbers below -1 and for `use_ray`.
  void resolve_defaults();

  /// The most threads the program runs by itself: its own times those of the backends.
  [[nodiscard]] int total_threads() const;

  /// These settings, defaults resolved, as environment variables for another program: `LK_*`, and those of OpenMP,
  /// OpenBLAS and MKL, so that they start with the right number. Variables of the latter that are set in this
  /// process are left out, and all three when the backends are to be left alone.
  [[nodiscard]] std::map<std::string, std::string> env_vars() const;

  friend bool operator==(const parallel_settings&, const parallel_settings&) = default;
};

/// Sets the parallelism of the program up: resolves the settings and sets the threads of the loaded backends.
///
///     int main() { lenskit::initialize({.num_procs = 8, .num_backend_threads = 1}); ... }
///
/// Numbers that are not 0 go before `LK_*` variables, those before defaults. The BLAS libraries (OpenBLAS, MKL, BLIS,
/// FlexiBLAS) are left alone when `OPENBLAS_NUM_THREADS` or `MKL_NUM_THREADS` is set, the OpenMP runtimes when
/// `OMP_NUM_THREADS` is; only libraries that are loaded by now are found. It comes first or not at all: once there are
/// settings, from another call, `configure`, `parallel_config` or the first pool, it warns and changes nothing.
///
/// Throws `settings_error` for a value that is no number or makes no sense, naming it, and for `LK_USE_RAY=1`. Does not
/// block. Call it in the parent; OpenMP keeps its number by thread, so call it in the thread that uses OpenMP. Of
/// several threads that call it at the same time one wins.
///
/// LensKit: `initialize`; there are no Torch and Rayon pools to set here.
void initialize(parallel_settings settings = {});

/// Calls `initialize()` unless that or `configure` has been done; behind a pool it sets the threads of the backends,
/// which the pool did not, by the settings that there are. Throws what `initialize` throws.
///
/// LensKit: the same.
void ensure_parallel_init();

/// The settings in force, with no defaults left to derive; initialises if need be.
///
///     std::vector<std::jthread> threads(std::size_t(lenskit::parallel_config().num_threads));
///
/// In a worker they are the worker's. The reference stays valid, with the same values, for the life of the program.
/// Throws what `initialize` throws. Does not block; safe in any thread and after fork.
///
/// LensKit: `get_parallel_config`.
const parallel_settings& parallel_config();

/// The settings for a worker: one process, one thread, and `num_child_threads` backend threads.
///
///     auto mine = lenskit::subprocess_config();
///     mine.num_backend_threads = 2;
///     lenskit::invoker inv(model, fn, {.n_jobs = 2, .worker_parallel = mine});
///
/// Throws what `initialize` throws. Does not block; safe in any thread and after fork.
///
/// LensKit: the same.
[[nodiscard]] parallel_settings subprocess_config();

/// Reads `lenskit.toml` and `lenskit.local.toml` in `dir` and sets parallelism and the root seed up accordingly.
///
///     lenskit::configure(lenskit::locate_configuration_root().value_or("."));
///
///     # lenskit.toml                # lenskit.local.toml, for this machine only
///     [parallel]                    [parallel]
///     num_procs = 8                 num_procs = 2
///     [random]
///     seed = 20260101
///
/// A value in the local file goes before one in the other, `LK_*` variables before both, and what the program gave to
/// `initialize` before all. A file that does not exist is no error. `seed` in `[random]` calls `init_rng`. Unknown keys
/// in the two tables are warned about by name, other tables are not looked at. May be called again, with a warning:
/// the last call holds. Libraries are treated as by `initialize`.
///
/// Throws `settings_error` with file, line, key and value where a file cannot be used; then nothing has changed. Blocks
/// as reading files does. Call it in the parent and from one thread.
///
/// LensKit: `configure`; only the parallel and random settings exist here.
const parallel_settings& configure(const std::filesystem::path& dir = ".");

/// The nearest directory from `cwd` upwards that has a `lenskit.toml`, as an absolute path; empty if there is none.
///
///     if (auto root = lenskit::locate_configuration_root()) lenskit::configure(*root);
///
/// The search ends at a directory that has a `pyproject.toml` or `.git`. Blocks as looking at files does; safe in any
/// thread. Throws `std::filesystem::filesystem_error` when the current directory is gone.
///
/// LensKit: the same.
std::optional<std::filesystem::path> locate_configuration_root(std::filesystem::path cwd = ".");

namespace detail {

/// Sees to it that there are settings, and sets nothing else: for a pool, which is no reason to change how many threads
/// the program's own BLAS has.
void ensure_settings();

/// The settings for each of `n_jobs` workers when the user gave none: `subprocess_config()`, but backend threads that
/// the user did not ask for never come to more than the CPUs in all workers together (failure E2).
parallel_settings worker_settings(int n_jobs);

/// In a worker, right after the fork: makes `settings`, which must be resolved, those of this process and sets the
/// backends' threads through what `prepare_backends_for_fork` found. Calls no dlopen and no setenv (failure F3).
void apply_worker_threads(const parallel_settings& settings) noexcept;

}  // namespace detail
}  // namespace lenskit
