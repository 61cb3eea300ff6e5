#include <lenskit/detail/os/backend_threads.hpp>
#include <lenskit/detail/os/environment.hpp>

#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "backend_library.hpp"

namespace lenskit::detail {
namespace {

// What the user wants left alone.
struct user_choice {
  bool blas = false;
  bool openmp = false;

  static user_choice now() {
    const auto set = [](const char* name) { return environment_variable(name).has_value(); };
    return {set("OPENBLAS_NUM_THREADS") || set("MKL_NUM_THREADS"), set("OMP_NUM_THREADS")};
  }
  [[nodiscard]] bool covers(backend_kind kind) const noexcept { return kind == backend_kind::openmp ? openmp : blas; }
};

// What was found before a fork. Published without a lock, which another thread could hold at the fork, and never
// freed: a child of any earlier fork may read it. There are no more of these than sets of loaded libraries.
struct prepared_backends {
  std::vector<backend_library> libraries;
  user_choice chosen;
  pid_t found_in;
  prepared_backends* replaced;
};

constinit std::atomic<prepared_backends*> prepared{nullptr};

// Whether GNU OpenMP kept its threads, since the thread that forks was inside of a parallel region.
constinit std::atomic<bool> openmp_kept_threads{false};

bool same(const prepared_backends& a, const std::vector<backend_library>& libraries, const user_choice& chosen) {
  return a.found_in == getpid() && a.chosen.blas == chosen.blas && a.chosen.openmp == chosen.openmp &&
         std::equal(a.libraries.begin(), a.libraries.end(), libraries.begin(), libraries.end(),
                    [](const backend_library& x, const backend_library& y) { return x.set == y.set; });
}

// In a forked child those found before the fork, because the dynamic linker may be unusable there.
std::vector<backend_library> usable_backends() {
  const prepared_backends* before_fork = prepared.load(std::memory_order_acquire);
  if (before_fork != nullptr && before_fork->found_in != getpid()) return before_fork->libraries;
  return find_backends();
}

std::vector<backend_report> reports_of(const std::vector<backend_library>& libraries) {
  std::vector<backend_report> reports;
  for (const auto& library : libraries)
    reports.push_back({library.kind, library.path, library.version_text(), library.threads()});
  return reports;
}

}  // namespace

const char* name(backend_kind kind) noexcept {
  switch (kind) {
    case backend_kind::openblas: return "openblas";
    case backend_kind::mkl: return "mkl";
    case backend_kind::blis: return "blis";
    case backend_kind::flexiblas: return "flexiblas";
    case backend_kind::openmp: return "openmp";
  }
  return "unknown";
}

std::vector<backend_report> loaded_backends() { return reports_of(usable_backends()); }

std::vector<backend_report> backends_found_anew() { return reports_of(find_backends()); }

std::vector<backend_setting> set_backends(int threads, backend_api which) {
  std::vector<backend_setting> before;
  for (const auto& library : usable_backends()) {
    if (matches(library.kind, which)) before.push_back({library.kind, library.set, library.threads()});
  }
  for (const auto& backend : before) set_threads(backend.kind, backend.set, threads);
  return before;
}

void restore(const std::vector<backend_setting>& settings) noexcept {
  for (const auto& backend : settings) set_threads(backend.kind, backend.set, backend.threads);
}

void set_backend_defaults(int threads) {
  const user_choice chosen = user_choice::now();
  if (!chosen.blas) (void)set_backends(threads, backend_api::blas);
  if (!chosen.openmp) (void)set_backends(threads, backend_api::openmp);
}

void prepare_backends_for_fork() {
  auto libraries = usable_backends();
  constexpr int hard = 2;  // omp_pause_hard
  bool kept = false;
  for (const auto& library : libraries) {
    if (library.pause != nullptr && reinterpret_cast<int (*)(int)>(library.pause)(hard) != 0) kept = true;
  }
  openmp_kept_threads.store(kept, std::memory_order_relaxed);

  const user_choice chosen = user_choice::now();
  const prepared_backends* known = prepared.load(std::memory_order_acquire);
  if (known != nullptr && same(*known, libraries, chosen)) return;
  auto* fresh = new prepared_backends{std::move(libraries), chosen, getpid(), prepared.load(std::memory_order_acquire)};
  while (!prepared.compare_exchange_weak(fresh->replaced, fresh, std::memory_order_acq_rel)) {}
}

void set_prepared_backends(int threads) noexcept {
  const prepared_backends* found = prepared.load(std::memory_order_acquire);
  if (found == nullptr) return;
  const bool no_team = openmp_kept_threads.load(std::memory_order_relaxed);
  for (const auto& library : found->libraries) {
    // With the team of the parent still on its books GNU OpenMP would wait for it in any region of more than one
    // thread.
    const bool one_only = no_team && library.pause != nullptr;
    if (one_only || !found->chosen.covers(library.kind)) library.set_threads_after_fork(one_only ? 1 : threads);
  }
}

}  // namespace lenskit::detail
