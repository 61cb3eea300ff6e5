// The functions of one loaded backend.
#pragma once

#include <lenskit/detail/os/backend_threads.hpp>

#include <memory>
#include <string>
#include <vector>

namespace lenskit::detail {

/// The state of an OpenBLAS that runs threads of its own: what the library itself calls these.
struct openblas_pool {
  int* blas_server_avail = nullptr;  // whether its threads run; 0 after a fork
  int* blas_num_threads = nullptr;   // how many threads it starts
  int* blas_cpu_number = nullptr;    // how many it uses

  [[nodiscard]] bool known() const noexcept { return blas_server_avail && blas_num_threads && blas_cpu_number; }
};

struct backend_library {
  backend_kind kind;
  std::string path;
  std::shared_ptr<void> handle;  // keeps the shared object, and with it the functions, in place
  void* get = nullptr;
  void* set = nullptr;
  void* version = nullptr;
  void* pause = nullptr;  // omp_pause_resource_all, of GNU OpenMP only: the others have fork handlers
  openblas_pool pool{};

  [[nodiscard]] int threads() const noexcept;
  /// Sets the threads in a freshly forked child. OpenBLAS's own function would start as many threads there as the
  /// parent had CPUs, only to leave all but `threads` of them waiting: in 64 workers on 64 CPUs these are 4032.
  void set_threads_after_fork(int threads) const noexcept;
  [[nodiscard]] std::string version_text() const;
};

/// The backends that are loaded now. Takes the dynamic linker's lock: not for a child of a program with threads.
std::vector<backend_library> find_backends();

void set_threads(backend_kind kind, void* set, int threads) noexcept;

inline bool matches(backend_kind kind, backend_api which) noexcept {
  return which == backend_api::all || (which == backend_api::openmp) == (kind == backend_kind::openmp);
}

}  // namespace lenskit::detail
