// OpenBLAS and the OpenMP runtimes as a program would use them, loaded while the test runs where they are installed.
#pragma once

#include <dlfcn.h>

#include <atomic>
#include <filesystem>
#include <vector>

namespace lenskit::tests {

/// The number of threads of this process.
inline int running_threads() {
  int count = 0;
  for ([[maybe_unused]] const auto& task : std::filesystem::directory_iterator("/proc/self/task")) ++count;
  return count;
}

/// An OpenMP runtime; all of them understand the code that GCC generates.
class openmp_runtime {
 public:
  explicit openmp_runtime(const char* soname) : handle_(dlopen(soname, RTLD_NOW)) {}
  [[nodiscard]] bool usable() const { return handle_ != nullptr && function("GOMP_parallel") != nullptr; }
  [[nodiscard]] int max_threads() const { return reinterpret_cast<int (*)()>(function("omp_get_max_threads"))(); }
  void set_threads(int threads) const { reinterpret_cast<void (*)(int)>(function("omp_set_num_threads"))(threads); }

  /// Runs a parallel region and returns how many threads took part; `threads` 0 leaves it to the runtime.
  int run_region(unsigned threads = 0) const {
    std::atomic<int> entered{0};
    using region = void (*)(void*);
    const region body = [](void* count) { ++*static_cast<std::atomic<int>*>(count); };
    reinterpret_cast<void (*)(region, void*, unsigned, unsigned)>(function("GOMP_parallel"))(body, &entered, threads,
                                                                                             0);
    return entered;
  }

 private:
  [[nodiscard]] void* function(const char* name) const { return dlsym(handle_, name); }
  void* handle_;
};

/// OpenBLAS.
class openblas_library {
 public:
  openblas_library() : handle_(dlopen("libopenblas.so.0", RTLD_NOW)) {}
  [[nodiscard]] bool usable() const { return handle_ != nullptr; }
  [[nodiscard]] int threads() const {
    return reinterpret_cast<int (*)()>(dlsym(handle_, "openblas_get_num_threads"))();
  }

  /// Multiplies two matrices large enough for all threads; returns an element of the product, which is `size`.
  [[nodiscard]] double multiply(int size = 400) const {
    const auto cells = static_cast<std::size_t>(size) * static_cast<std::size_t>(size);
    const std::vector<double> a(cells, 1.0), b(cells, 1.0);
    std::vector<double> c(cells, 0.0);
    using dgemm =
        void (*)(int, int, int, int, int, int, double, const double*, int, const double*, int, double, double*, int);
    constexpr int row_major = 101, as_is = 111;
    reinterpret_cast<dgemm>(dlsym(handle_, "cblas_dgemm"))(row_major, as_is, as_is, size, size, size, 1.0, a.data(),
                                                           size, b.data(), size, 0.0, c.data(), size);
    return c.back();
  }

 private:
  void* handle_;
};

}  // namespace lenskit::tests
