#include <lenskit/thread_limit.hpp>

#include <lenskit/settings.hpp>
#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/in_child.hpp>
#include <support/variable.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <thread>

using lenskit::set_backend_threads;
using lenskit::thread_limit;
using lenskit::detail::apply_worker_threads;
using lenskit::detail::backend_kind;
using lenskit::detail::loaded_backends;
using lenskit::detail::prepare_backends_for_fork;
using lenskit::tests::holds_in_child;
using lenskit::tests::openblas_library;
using lenskit::tests::openmp_runtime;
using lenskit::tests::running_threads;
using lenskit::tests::variable;

namespace {

lenskit::parallel_settings worker_with(int backend_threads) {
  lenskit::parallel_settings settings{
      .num_cpus = 2, .num_procs = 1, .num_threads = 1, .num_backend_threads = backend_threads};
  settings.resolve_defaults();
  return settings;
}

bool is_reported(const std::string& file) {
  const auto backends = loaded_backends();
  return std::any_of(backends.begin(), backends.end(),
                     [&](const auto& backend) { return backend.path.find(file) != std::string::npos; });
}

}  // namespace

TEST_CASE("loaded backends are reported with kind, path, version and threads") {
  const openblas_library blas;
  const openmp_runtime gomp("libgomp.so.1");
  if (!blas.usable() || !gomp.usable()) LENSKIT_SKIP("OpenBLAS or libgomp is not installed");
  const auto backends = loaded_backends();
  const auto has = [&](backend_kind kind, const std::string& file, int threads, bool version) {
    return std::count_if(backends.begin(), backends.end(), [&](const auto& backend) {
      return backend.kind == kind && backend.path.find(file) != std::string::npos && backend.threads == threads &&
             backend.version.empty() != version;
    });
  };
  CHECK(has(backend_kind::openblas, "libopenblas", blas.threads(), true) == 1);
  CHECK(has(backend_kind::openmp, "libgomp", gomp.max_threads(), false) == 1);
  CHECK(std::string(lenskit::detail::name(backend_kind::openblas)) == "openblas");
}

TEST_CASE("set_backend_threads sets OpenBLAS and OpenMP for real", "[no_tsan]") {
  const openblas_library blas;
  const openmp_runtime gomp("libgomp.so.1");
  if (!blas.usable() || !gomp.usable()) LENSKIT_SKIP("OpenBLAS or libgomp is not installed");
  for (const int threads : {1, 3, 2}) {
    set_backend_threads(threads);
    CHECK(blas.threads() == threads);
    CHECK(gomp.max_threads() == threads);
    CHECK(gomp.run_region() == threads);
    CHECK(blas.multiply() == 400.0);
  }
}

TEST_CASE("thread_limit holds while it lives, and nests") {
  const openblas_library blas;
  const openmp_runtime gomp("libgomp.so.1");
  if (!blas.usable() || !gomp.usable()) LENSKIT_SKIP("OpenBLAS or libgomp is not installed");
  set_backend_threads(4);
  {
    const thread_limit outer(2);
    CHECK(blas.threads() == 2);
    {
      const thread_limit inner(1);
      CHECK(blas.threads() == 1);
      CHECK(gomp.run_region() == 1);
    }
    CHECK(blas.threads() == 2);
    CHECK(gomp.max_threads() == 2);
  }
  CHECK(blas.threads() == 4);
  CHECK(gomp.max_threads() == 4);
}

TEST_CASE("a limit below one thread is refused") {
  CHECK_THROWS_AS(thread_limit(0), std::invalid_argument);
  CHECK_THROWS_AS(set_backend_threads(-1), std::invalid_argument);
}

TEST_CASE("initialize sets the loaded backends, unless the environment has its own number") {
  const openblas_library blas;
  const openmp_runtime gomp("libgomp.so.1");
  if (!blas.usable() || !gomp.usable()) LENSKIT_SKIP("OpenBLAS or libgomp is not installed");
  const int blas_before = blas.threads();
  const int gomp_before = gomp.max_threads();
  CHECK(holds_in_child([&] {
    lenskit::initialize({.num_backend_threads = 3});
    return blas.threads() == 3 && gomp.max_threads() == 3;
  }));
  CHECK(holds_in_child([&] {
    lenskit::initialize({.num_backend_threads = -1});
    return blas.threads() == blas_before && gomp.max_threads() == gomp_before;
  }));
  for (const char* name : {"OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}) {
    const variable set(name, "7");
    CHECK(holds_in_child([&] {
      lenskit::initialize({.num_backend_threads = 3});
      return blas.threads() == blas_before && gomp.max_threads() == 3;
    }));
  }
  const variable set("OMP_NUM_THREADS", "7");
  CHECK(holds_in_child([&] {
    lenskit::initialize({.num_backend_threads = 3});
    return blas.threads() == 3 && gomp.max_threads() == gomp_before;
  }));
}

TEST_CASE("a worker has the threads of its settings, and the parent keeps its own", "[no_tsan]") {
  const openblas_library blas;
  const openmp_runtime gomp("libgomp.so.1");
  if (!blas.usable() || !gomp.usable()) LENSKIT_SKIP("OpenBLAS or libgomp is not installed");
  set_backend_threads(3);
  REQUIRE(blas.multiply() == 400.0);
  prepare_backends_for_fork();
  for (const int threads : {1, 2}) {
    CHECK(holds_in_child([&] {
      apply_worker_threads(worker_with(threads));
      const bool counted = blas.threads() == threads && gomp.max_threads() == threads;
      const bool works = blas.multiply() == 400.0 && gomp.run_region() == threads;
      const auto report = loaded_backends();
      return counted && works && report.size() >= 2 && report.front().threads == threads;
    }));
  }
  CHECK(blas.threads() == 3);
  CHECK(gomp.max_threads() == 3);
  CHECK(blas.multiply() == 400.0);
}

TEST_CASE("a worker with one backend thread runs OpenBLAS in one thread", "[no_tsan]") {
  const openblas_library blas;
  if (!blas.usable()) LENSKIT_SKIP("OpenBLAS is not installed");
  set_backend_threads(4);
  REQUIRE(blas.multiply() == 400.0);
  prepare_backends_for_fork();
  CHECK(holds_in_child([&] {
    apply_worker_threads(worker_with(1));
    return blas.multiply() == 400.0 && running_threads() == 1;
  }));
}

TEST_CASE("OpenMP runs in workers after it ran in the parent", "[no_tsan]") {
  for (const char* soname : {"libgomp.so.1", "libomp.so.5"}) {
    // A process of its own for each runtime: two of them in one are a trap of a different kind.
    INFO(soname);
    CHECK(holds_in_child(
        [&] {
          const openmp_runtime openmp(soname);
          if (!openmp.usable()) return true;
          // In a child of a program that prepared a fork before, what is loaded now is not looked for.
          if (!is_reported(soname)) return true;
          openmp.set_threads(4);
          if (openmp.run_region() != 4) return false;
          prepare_backends_for_fork();
          for (const int threads : {1, 3}) {
            const bool held = holds_in_child([&] {
              apply_worker_threads(worker_with(threads));
              return openmp.run_region() == threads && openmp.run_region(2) == 2 && openmp.run_region(4) == 4;
            });
            if (!held) return false;
          }
          return openmp.max_threads() == 4 && openmp.run_region() == 4;  // the parent goes on as before
        },
        std::chrono::seconds(25)));
  }
}

TEST_CASE("OpenMP runs in a worker that was forked out of a parallel region, in one thread", "[no_tsan]") {
  const openmp_runtime gomp("libgomp.so.1");
  if (!gomp.usable()) LENSKIT_SKIP("libgomp is not installed");
  static bool held = false;
  static const openmp_runtime* runtime = &gomp;
  static std::atomic<bool> taken{false};
  gomp.set_threads(2);
  taken = false;
  void* handle = dlopen("libgomp.so.1", RTLD_NOW);
  using region = void (*)(void*);
  const region body = [](void*) {
    if (taken.exchange(true)) return;
    prepare_backends_for_fork();
    held = holds_in_child([] {
      apply_worker_threads(worker_with(2));
      return runtime->max_threads() == 1 && runtime->run_region() == 1;
    });
  };
  reinterpret_cast<void (*)(region, void*, unsigned, unsigned)>(dlsym(handle, "GOMP_parallel"))(body, nullptr, 2, 0);
  dlclose(handle);
  CHECK(held);
}

TEST_CASE("workers leave alone what the environment sets") {
  const openblas_library blas;
  if (!blas.usable()) LENSKIT_SKIP("OpenBLAS is not installed");
  set_backend_threads(3);
  const variable set("OPENBLAS_NUM_THREADS", "3");
  prepare_backends_for_fork();
  CHECK(holds_in_child([&] {
    apply_worker_threads(worker_with(1));
    return blas.threads() == 3;
  }));
}
