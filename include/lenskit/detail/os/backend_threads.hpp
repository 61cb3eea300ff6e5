// The thread pools of BLAS libraries and OpenMP runtimes that happen to be loaded: found, counted and set.
//
// The library links none of them. It looks through the loaded shared objects for the functions that each kind is known
// to have, as Python's threadpoolctl does. A copy that is linked statically is not found.
#pragma once

#include <string>
#include <vector>

namespace lenskit::detail {

enum class backend_kind { openblas, mkl, blis, flexiblas, openmp };

const char* name(backend_kind kind) noexcept;

/// Which backends are meant: those with an API of their own, the OpenMP runtimes, or both.
enum class backend_api { all, blas, openmp };

/// A backend as it is now.
struct backend_report {
  backend_kind kind;
  std::string path;     ///< of the shared object
  std::string version;  ///< as the backend tells it, empty when it does not
  int threads = 1;      ///< that it would use now; for OpenMP in the calling thread
};

/// In a forked process those that were loaded at the fork.
std::vector<backend_report> loaded_backends();
/// In a forked process, too, those that are loaded now: only for one whose parent had no other threads, or the dynamic
/// linker may hang.
std::vector<backend_report> backends_found_anew();

/// A backend's number of threads, to be set again later.
struct backend_setting {
  backend_kind kind;
  void* set;
  int threads;
};

/// Sets the threads of the loaded backends and returns what they were.
std::vector<backend_setting> set_backends(int threads, backend_api which);

void restore(const std::vector<backend_setting>& settings) noexcept;

/// Like `set_backends`, but leaves alone what the user set by environment variables: BLAS when `OPENBLAS_NUM_THREADS`
/// or `MKL_NUM_THREADS` is there, OpenMP when `OMP_NUM_THREADS` is.
void set_backend_defaults(int threads);

/// In the thread that is going to fork: finds the backends, so that the child needs no dlopen, and makes GNU OpenMP put
/// its threads away, without which a parallel region in the child waits for threads that the fork did not copy. From
/// here to the fork the thread must not run a parallel region.
void prepare_backends_for_fork();

/// In the child: sets the backends that were found before the fork, except those that the user set by variables.
/// Neither allocates nor looks anything up.
void set_prepared_backends(int threads) noexcept;

}  // namespace lenskit::detail
