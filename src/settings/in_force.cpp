#include <lenskit/settings.hpp>

#include <lenskit/detail/log/log_line.hpp>
#include <lenskit/detail/os/backend_threads.hpp>
#include <lenskit/detail/settings/config_file.hpp>
#include <lenskit/detail/settings/resolve.hpp>
#include <lenskit/random.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>

namespace lenskit {
namespace {

using detail::log_warning;
using detail::resolved_settings;

// Settings are never freed, because references to them are handed out; the chain keeps the replaced ones reachable.
// There is no lock here that another thread could hold at a fork.
struct published {
  resolved_settings value;
  published* replaced;
};

constinit std::atomic<published*> newest_settings{nullptr};

// Whether the backends' threads have been set by them, which a pool alone does not do (failure V4).
constinit std::atomic<bool> backends_are_set{false};

void replace(resolved_settings value) {
  auto* fresh = new published{std::move(value), newest_settings.load(std::memory_order_acquire)};
  while (!newest_settings.compare_exchange_weak(fresh->replaced, fresh, std::memory_order_acq_rel)) {}
}

// False when there are settings already.
bool publish_first(resolved_settings value) {
  auto fresh = std::make_unique<published>(published{std::move(value), nullptr});
  published* none = nullptr;
  if (!newest_settings.compare_exchange_strong(none, fresh.get(), std::memory_order_acq_rel)) return false;
  (void)fresh.release();
  return true;
}

void set_backends() {
  backends_are_set.store(true, std::memory_order_relaxed);
  const int threads = detail::settings_in_force()->settings.num_backend_threads;
  if (threads > 0) detail::set_backend_defaults(threads);
}

resolved_settings resolve(const detail::setting_values& arguments, const detail::setting_values& files) {
  return detail::resolve_settings(arguments, detail::settings_of_environment(detail::environment_variable), files);
}

}  // namespace

void initialize(parallel_settings settings) {
  if (detail::settings_in_force() == nullptr && publish_first(resolve(detail::settings_of_arguments(settings), {}))) {
    set_backends();
  } else {
    log_warning("parallelism is initialized already: the new settings are ignored");
  }
}

void ensure_parallel_init() {
  detail::ensure_settings();
  if (!backends_are_set.load(std::memory_order_relaxed)) set_backends();
}

const parallel_settings& parallel_config() {
  if (detail::settings_in_force() == nullptr) ensure_parallel_init();
  return detail::settings_in_force()->settings;
}

parallel_settings subprocess_config() {
  const parallel_settings& parent = parallel_config();
  return {.num_cpus = parent.num_cpus,
          .num_procs = 1,
          .num_batch_jobs = 1,
          .num_threads = 1,
          .num_backend_threads = parent.num_child_threads,
          .num_child_threads = 1};
}

const parallel_settings& configure(const std::filesystem::path& dir) {
  // Everything that can fail comes first: a bad file changes nothing.
  const auto local = detail::read_config_file(dir / "lenskit.local.toml", log_warning);
  const auto shared = detail::read_config_file(dir / "lenskit.toml", log_warning);
  const auto* before = detail::settings_in_force();
  auto resolved = resolve(before != nullptr ? before->arguments : detail::setting_values{},
                          detail::first_of({local.parallel, shared.parallel}));
  if (before != nullptr) log_warning("parallelism is initialized already: the settings are replaced");
  replace(std::move(resolved));
  set_backends();
  if (const auto seed = local.seed ? local.seed : shared.seed) init_rng(*seed);
  return detail::settings_in_force()->settings;
}

namespace detail {

const resolved_settings* settings_in_force() noexcept {
  const published* now = newest_settings.load(std::memory_order_acquire);
  return now != nullptr ? &now->value : nullptr;
}

void ensure_settings() {
  if (settings_in_force() == nullptr) (void)publish_first(resolve({}, {}));
}

parallel_settings worker_settings(int n_jobs) {
  parallel_settings worker = subprocess_config();
  if (settings_in_force()->given[setting::child_threads] == 0)
    worker.num_backend_threads = std::clamp(worker.num_cpus / std::max(n_jobs, 1), 1, worker.num_backend_threads);
  return worker;
}

void apply_worker_threads(const parallel_settings& settings) noexcept {
  resolved_settings mine;
  mine.settings = settings;
  mine.arguments = settings_of_arguments(settings);
  mine.given = mine.arguments;
  replace(std::move(mine));
  backends_are_set.store(true, std::memory_order_relaxed);
  if (settings.num_backend_threads > 0) set_prepared_backends(settings.num_backend_threads);
}

}  // namespace detail
}  // namespace lenskit
