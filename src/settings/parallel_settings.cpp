#include <lenskit/detail/settings/resolve.hpp>
#include <lenskit/proc_count.hpp>
#include <lenskit/settings.hpp>

#include <algorithm>
#include <limits>

namespace lenskit {

void parallel_settings::resolve_defaults() {
  for (const auto& key : detail::setting_keys) detail::checked_setting(key.in(*this), key.name);
  if (use_ray) detail::refuse_ray("use_ray");

  constexpr int most_backend_threads = 4;
  if (num_cpus <= 0) num_cpus = effective_cpu_count();
  const auto all_cpus = [this](int number) { return number == -1 ? num_cpus : number; };
  num_procs = num_procs == 0 ? std::min(num_cpus, 4) : all_cpus(num_procs);
  num_threads = num_threads == 0 ? std::min(num_cpus, 8) : all_cpus(num_threads);
  num_batch_jobs = num_batch_jobs == 0 ? num_threads : all_cpus(num_batch_jobs);
  if (num_backend_threads == 0) num_backend_threads = std::clamp(num_cpus / num_threads, 1, most_backend_threads);
  if (num_child_threads == 0) num_child_threads = std::clamp(num_cpus / num_procs, 1, most_backend_threads);
}

int parallel_settings::total_threads() const {
  parallel_settings resolved = *this;
  resolved.resolve_defaults();
  const long long total = static_cast<long long>(resolved.num_threads) * std::max(resolved.num_backend_threads, 1);
  return static_cast<int>(std::min<long long>(total, std::numeric_limits<int>::max()));
}

std::map<std::string, std::string> parallel_settings::env_vars() const {
  parallel_settings resolved = *this;
  resolved.resolve_defaults();
  std::map<std::string, std::string> variables;
  for (const auto& key : detail::setting_keys) {
    if (key.number != nullptr) variables[key.variable] = std::to_string(key.in(resolved));
  }
  if (resolved.num_backend_threads == -1) return variables;
  for (const char* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}) {
    if (!detail::environment_variable(name)) variables[name] = std::to_string(resolved.num_backend_threads);
  }
  return variables;
}

}  // namespace lenskit
