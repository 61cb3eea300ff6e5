// The threads of BLAS and OpenMP, which multiply with those of the program and with its workers.
#pragma once

#include <lenskit/detail/os/backend_threads.hpp>

#include <vector>

namespace lenskit {

/// Sets the threads of every loaded BLAS library and OpenMP runtime, whatever the environment says.
///
///     lenskit::set_backend_threads(1);
///
/// `threads` is at least 1, else `std::invalid_argument`. Finds the shared objects of OpenBLAS, MKL, BLIS, FlexiBLAS,
/// libgomp, libomp and libiomp5 that are loaded by now; in a worker those that were loaded before it was forked. BLAS
/// keeps one number per process, OpenMP one per thread, and this sets the calling thread's. Does not block.
///
/// LensKit: `threadpoolctl.threadpool_limits`, which it calls.
void set_backend_threads(int threads);

/// Limits the threads of the loaded backends while it lives, then sets back what there was.
///
///     {
///       const lenskit::thread_limit one_each(1);
///       std::for_each(std::execution::par, users.begin(), users.end(), score);   // uses BLAS
///     }
///
/// Nests. The limit on BLAS holds for the whole process, that on OpenMP for the calling thread; build and destroy it in
/// the same thread. Throws `std::invalid_argument` for less than 1 thread. Does not block.
///
/// LensKit: `threadpoolctl.threadpool_limits` as a context manager.
class [[nodiscard]] thread_limit {
 public:
  explicit thread_limit(int threads);
  ~thread_limit();
  thread_limit(const thread_limit&) = delete;
  thread_limit& operator=(const thread_limit&) = delete;

 private:
  std::vector<detail::backend_setting> before_;
};

}  // namespace lenskit
