#include "backend_library.hpp"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string_view>

namespace lenskit::detail {
namespace {

// How a kind of backend is known: by file names, and by the functions it then must have. Of some functions there are
// several names; the first that is found counts.
struct backend_pattern {
  backend_kind kind;
  std::initializer_list<std::string_view> file_names;
  std::initializer_list<const char*> get;
  std::initializer_list<const char*> set;
  std::initializer_list<const char*> version;
};

// "libblas" is whichever BLAS the system's administrator chose. OpenBLAS is built with suffixes where its integers have
// 64 bits, and with a prefix for SciPy.
// Made when it is first asked for, which may be in an initialiser of the program.
const std::array<backend_pattern, 5>& backend_patterns() {
  static const std::array<backend_pattern, 5> patterns{{
      {backend_kind::openblas,
       {"libopenblas", "libblas", "libscipy_openblas"},
       {"openblas_get_num_threads", "openblas_get_num_threads64_", "openblas_get_num_threads_64",
        "scipy_openblas_get_num_threads", "scipy_openblas_get_num_threads64_", "scipy_openblas_get_num_threads_64"},
       {"openblas_set_num_threads", "openblas_set_num_threads64_", "openblas_set_num_threads_64",
        "scipy_openblas_set_num_threads", "scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads_64"},
       {"openblas_get_config", "openblas_get_config64_", "openblas_get_config_64", "scipy_openblas_get_config",
        "scipy_openblas_get_config64_", "scipy_openblas_get_config_64"}},
      {backend_kind::mkl,
       {"libmkl_rt", "libblas"},
       {"MKL_Get_Max_Threads"},
       {"MKL_Set_Num_Threads"},
       {"MKL_Get_Version_String"}},
      {backend_kind::blis,
       {"libblis", "libblas"},
       {"bli_thread_get_num_threads"},
       {"bli_thread_set_num_threads"},
       {"bli_info_get_version_str"}},
      {backend_kind::flexiblas,
       {"libflexiblas"},
       {"flexiblas_get_num_threads"},
       {"flexiblas_set_num_threads"},
       {"flexiblas_get_version"}},
      {backend_kind::openmp, {"libgomp", "libomp", "libiomp"}, {"omp_get_max_threads"}, {"omp_set_num_threads"}, {}},
  }};
  return patterns;
}

template <class Function>
Function function_at(void* address) noexcept {
  return reinterpret_cast<Function>(address);
}

std::string_view file_name(std::string_view path) noexcept { return path.substr(path.rfind('/') + 1); }

void* first_symbol(void* handle, std::initializer_list<const char*> names) noexcept {
  for (const char* name : names) {
    if (void* address = dlsym(handle, name)) return address;
  }
  return nullptr;
}

openblas_pool find_pool(void* handle) noexcept {
  void* parallel = dlsym(handle, "openblas_get_parallel");
  constexpr int own_threads = 1;  // 0 is none, 2 is OpenMP's
  if (parallel == nullptr || function_at<int (*)()>(parallel)() != own_threads) return {};
  const auto number = [handle](const char* name) { return static_cast<int*>(dlsym(handle, name)); };
  return {number("blas_server_avail"), number("blas_num_threads"), number("blas_cpu_number")};
}

// Paths only: the linker's lock is held in here, so nothing may be opened.
std::vector<std::string> loaded_objects() {
  std::vector<std::string> paths;
  const auto append = [](dl_phdr_info* info, std::size_t, void* into) -> int {
    if (info->dlpi_name != nullptr && *info->dlpi_name != '\0')
      static_cast<std::vector<std::string>*>(into)->emplace_back(info->dlpi_name);
    return 0;
  };
  dl_iterate_phdr(append, &paths);
  return paths;
}

}  // namespace

std::vector<backend_library> find_backends() {
  std::vector<backend_library> found;
  for (const std::string& path : loaded_objects()) {
    for (const backend_pattern& pattern : backend_patterns()) {
      const std::string_view file = file_name(path);
      if (std::none_of(pattern.file_names.begin(), pattern.file_names.end(),
                       [file](std::string_view prefix) { return file.starts_with(prefix); }))
        continue;
      std::shared_ptr<void> handle(dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD), [](void* opened) {
        if (opened != nullptr) dlclose(opened);
      });
      if (handle == nullptr) continue;
      backend_library library{pattern.kind, path, handle};
      library.get = first_symbol(handle.get(), pattern.get);
      library.set = first_symbol(handle.get(), pattern.set);
      if (library.get == nullptr || library.set == nullptr) continue;
      library.version = first_symbol(handle.get(), pattern.version);
      if (file.starts_with("libgomp")) library.pause = dlsym(handle.get(), "omp_pause_resource_all");
      if (pattern.kind == backend_kind::openblas) library.pool = find_pool(handle.get());
      // A symbol is also looked for in what an object depends on, so one backend can be found through several.
      const auto same = [&library](const backend_library& other) { return other.set == library.set; };
      if (std::none_of(found.begin(), found.end(), same)) found.push_back(std::move(library));
    }
  }
  return found;
}

int backend_library::threads() const noexcept {
  const int count = function_at<int (*)()>(get)();
  return count < 1 ? 1 : count;  // BLIS says -1 until it was set
}

void set_threads(backend_kind kind, void* set, int threads) noexcept {
  if (kind == backend_kind::blis) {
    function_at<void (*)(long)>(set)(threads);  // its dim_t
  } else {
    function_at<void (*)(int)>(set)(threads);
  }
}

void backend_library::set_threads_after_fork(int threads) const noexcept {
  if (pool.known() && *pool.blas_server_avail == 0) {
    *pool.blas_num_threads = threads;
    *pool.blas_cpu_number = threads;
  } else {
    set_threads(kind, set, threads);
  }
}

std::string backend_library::version_text() const {
  if (version == nullptr) return {};
  switch (kind) {
    case backend_kind::openblas: {
      // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ...": the number is the second word.
      const std::string config = function_at<const char* (*)()>(version)();
      const std::size_t begin = std::min(config.find(' ') + 1, config.size());
      return config.substr(begin, config.find(' ', begin) - begin);
    }
    case backend_kind::mkl: {
      std::array<char, 256> text{};
      function_at<void (*)(char*, int)>(version)(text.data(), static_cast<int>(text.size()) - 1);
      return text.data();
    }
    case backend_kind::blis: return function_at<const char* (*)()>(version)();
    case backend_kind::flexiblas: {
      int major = 0, minor = 0, patch = 0;
      function_at<void (*)(int*, int*, int*)>(version)(&major, &minor, &patch);
      return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
    }
    case backend_kind::openmp: break;
  }
  return {};
}

}  // namespace lenskit::detail
