#include <lenskit/detail/os/cgroup.hpp>
#include <lenskit/detail/os/cpu_count.hpp>

#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <limits>
#include <memory>

namespace lenskit::detail {
namespace {

int online_cpus() noexcept {
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online >= 1 && online <= std::numeric_limits<int>::max() ? static_cast<int>(online) : 1;
}

// A fixed cpu_set_t is too small for machines of more than 1024 CPUs: the kernel then says EINVAL.
std::optional<int> allowed_cpus() {
  constexpr int most = 1 << 20;
  for (int cpus = CPU_SETSIZE; cpus <= most; cpus *= 2) {
    const auto release = [](cpu_set_t* set) { CPU_FREE(set); };
    const std::unique_ptr<cpu_set_t, decltype(release)> set(CPU_ALLOC(static_cast<std::size_t>(cpus)), release);
    if (set == nullptr) return std::nullopt;
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(cpus));
    if (sched_getaffinity(0, bytes, set.get()) == 0) return CPU_COUNT_S(bytes, set.get());
    if (errno != EINVAL) return std::nullopt;
  }
  return std::nullopt;
}

// A quota of 1.5 CPUs keeps two busy part of the time: rounding down would waste the half.
int whole_cpus(double quota) noexcept {
  const double rounded = std::ceil(quota);
  return rounded < std::numeric_limits<int>::max() ? static_cast<int>(rounded) : std::numeric_limits<int>::max();
}

}  // namespace

cpu_count count_cpus(const cpu_count_sources& sources) {
  cpu_count count;
  count.hardware = sources.hardware ? *sources.hardware : online_cpus();
  count.affinity = sources.affinity ? *sources.affinity : allowed_cpus().value_or(count.hardware);
  if (auto quota = find_cpu_quota(sources.root)) {
    count.quota = quota->cpus;
    count.quota_file = quota->file.string();
  }
  for (const char* name : {"SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"}) {
    const auto text = sources.variables(name);
    const auto value = text ? parse_int(*text) : std::nullopt;
    if (!value || *value < 1) continue;
    count.scheduled = value;
    count.scheduled_by = name;
    break;
  }

  count.chosen = count.hardware;
  count.reason = "hardware";
  const auto limit = [&count](int cpus, const std::string& reason) {
    if (cpus >= count.chosen) return;
    count.chosen = cpus;
    count.reason = reason;
  };
  limit(count.affinity, "affinity");
  if (count.quota) limit(whole_cpus(*count.quota), "quota of " + count.quota_file);
  if (count.scheduled) limit(*count.scheduled, count.scheduled_by);
  if (count.chosen < 1) count.chosen = 1;
  return count;
}

}  // namespace lenskit::detail
