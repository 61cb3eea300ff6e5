// The functions of one loaded backend.
#pragma once

#include <lenskit/detail/os/backend_threads.hpp>

#include <memory>
#include <string>
#include <vector>

namespace lenskit::detail {

struct backend_library {
  backend_kind kind;
  std::string path;
  std::shared_ptr<void> handle;  // keeps the shared object, and with it the functions, in place
  void* get = nullptr;
  void* set = nullptr;
  void* version = nullptr;
  void* pause = nullptr;  // omp_pause_resource_all, of GNU OpenMP only: the others have fork handlers

  [[nodiscard]] int threads() const noexcept;
  [[nodiscard]] std::string version_text() const;
};

/// The backends that are loaded now. Takes the dynamic linker's lock: not for a child of a program with threads.
std::vector<backend_library> find_backends();

void set_threads(backend_kind kind, void* set, int threads) noexcept;

inline bool matches(backend_kind kind, backend_api which) noexcept {
  return which == backend_api::all || (which == backend_api::openmp) == (kind == backend_kind::openmp);
}

}  // namespace lenskit::detail
