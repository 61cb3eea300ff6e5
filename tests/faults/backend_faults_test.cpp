// F3 and E2: OpenMP and BLAS in workers, after they ran in the parent.
#include <lenskit/invoker.hpp>
#include <lenskit/proc_count.hpp>
#include <lenskit/run_sp.hpp>
#include <lenskit/settings.hpp>
#include <lenskit/thread_limit.hpp>
#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/in_child.hpp>

#include <algorithm>
#include <chrono>
#include <thread>
#include <tuple>
#include <vector>

using lenskit::engine;
using lenskit::invoker;
using lenskit::invoker_options;
using lenskit::set_backend_threads;
using lenskit::tests::holds_in_child;
using lenskit::tests::openblas_library;
using lenskit::tests::openmp_runtime;
using lenskit::tests::running_threads;
using namespace std::chrono_literals;

namespace {

constexpr int workers = 2;
constexpr int tasks = 8;

std::vector<int> some_tasks() { return std::vector<int>(tasks, 0); }

// A hang is to be a failed task, not a test that never ends.
invoker_options forked() { return {.n_jobs = workers, .engine = engine::processes, .task_timeout = 20s}; }

// OpenBLAS has a limit of its own.
int most(const openblas_library& blas) {
  constexpr int very_many = 1 << 14;
  const auto before = blas.threads();
  const lenskit::thread_limit limit(very_many);
  return std::max(blas.threads(), before);
}

}  // namespace

TEST_CASE("F3: tasks run OpenMP after the parent did, and the parent again after them", "[no_tsan]") {
  const openmp_runtime gomp("libgomp.so.1");
  if (!gomp.usable()) LENSKIT_SKIP("libgomp is not installed");
  lenskit::ensure_parallel_init();  // which sets the threads, so that the next line has the last word
  gomp.set_threads(3);
  REQUIRE(gomp.run_region() == 3);
  invoker inv(
      gomp.max_threads(), [&gomp](int, int) { return gomp.run_region(2); }, forked());
  const auto teams = inv.map(some_tasks()).collect();
  CHECK(teams == std::vector<int>(tasks, 2));
  CHECK(gomp.run_region() == 3);
  invoker again(
      0, [&gomp](int, int) { return gomp.run_region(2); }, forked());
  CHECK(again.map(some_tasks()).collect() == teams);
}

TEST_CASE("F3: tasks multiply matrices after the parent did", "[no_tsan]") {
  const openblas_library blas;
  if (!blas.usable()) LENSKIT_SKIP("OpenBLAS is not installed");
  set_backend_threads(2);
  REQUIRE(blas.multiply() == 400.0);
  invoker inv(
      0, [&blas](int, int) { return blas.multiply(); }, forked());
  CHECK(inv.map(some_tasks()).collect() == std::vector<double>(tasks, 400.0));
  CHECK(blas.multiply() == 400.0);
}

TEST_CASE("E2: a user who sets nothing never has more threads in workers than CPUs", "[no_tsan]") {
  const openblas_library blas;
  if (!blas.usable()) LENSKIT_SKIP("OpenBLAS is not installed");
  REQUIRE(blas.multiply() == 400.0);
  const int cpus = lenskit::effective_cpu_count();
  invoker inv(
      0,
      [&blas](int, int) {
        const bool right = blas.multiply() == 400.0;
        return right ? running_threads() : -1;
      },
      forked());
  for (const int threads : inv.map(some_tasks()).collect()) {
    CHECK(threads >= 1);
    CHECK(threads * workers <= std::max(cpus, workers));
  }
}

TEST_CASE("E2: workers have the backend threads that the invoker's options ask for", "[no_tsan]") {
  const openblas_library blas;
  const openmp_runtime gomp("libgomp.so.1");
  if (!blas.usable() || !gomp.usable()) LENSKIT_SKIP("OpenBLAS or libgomp is not installed");
  auto options = forked();
  options.worker_parallel = lenskit::subprocess_config();
  options.worker_parallel->num_backend_threads = 3;
  invoker inv(
      0,
      [&](int, int) {
        return std::vector<int>{blas.threads(), gomp.max_threads(), gomp.run_region()};
      },
      options);
  for (const auto& threads : inv.map(some_tasks()).collect()) CHECK(threads == std::vector<int>{3, 3, 3});
}

TEST_CASE("F3: run_sp runs OpenMP after the parent did", "[no_tsan]") {
  const openmp_runtime gomp("libgomp.so.1");
  if (!gomp.usable()) LENSKIT_SKIP("libgomp is not installed");
  gomp.set_threads(3);
  REQUIRE(gomp.run_region() == 3);
  CHECK(lenskit::run_sp(lenskit::run_sp_options{.timeout = 20s}, [&gomp] { return gomp.run_region(2); }) == 2);
}

TEST_CASE("V4: the program's own BLAS and OpenMP have as many threads beside a pool and after it as before",
          "[no_tsan]") {
  const openmp_runtime gomp("libgomp.so.1");
  const openblas_library blas;
  if (!gomp.usable() || !blas.usable()) LENSKIT_SKIP("libgomp or OpenBLAS is not installed");
  CHECK(holds_in_child([&] {
    constexpr int own = 7;  // not what the library would choose
    const auto unchanged = [&] { return gomp.max_threads() == own && blas.threads() == std::min(own, most(blas)); };
    set_backend_threads(own);
    if (!unchanged()) return false;
    for (int again = 0; again < 2; ++again) {
      invoker inv(
          0, [&](int, int) { return std::max(gomp.max_threads(), blas.threads()); }, forked());
      if (!unchanged()) return false;
      const auto few = lenskit::parallel_config().num_child_threads;
      for (const int threads : inv.map(some_tasks()).collect()) {
        if (threads > few) return false;
      }
      if (!unchanged()) return false;
    }
    std::ignore = lenskit::run_sp([] { return 1; });
    if (gomp.run_region() != own || blas.multiply() != 400.0 || !unchanged()) return false;
    // Asked for, they are set all the same.
    lenskit::ensure_parallel_init();
    return gomp.max_threads() == lenskit::parallel_config().num_backend_threads;
  }));
}
