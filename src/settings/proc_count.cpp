#include <lenskit/proc_count.hpp>

#include <lenskit/detail/os/cpu_count.hpp>
#include <lenskit/detail/os/environment.hpp>
#include <lenskit/detail/settings/resolve.hpp>

#include <algorithm>
#include <stdexcept>

namespace lenskit {
namespace {

// `num_cpus` overrides what the machine says wherever it was set.
int usable_cpus(const detail::resolved_settings* in_force) {
  const int cpus = detail::given_now(detail::setting::cpus, in_force);
  return cpus > 0 ? cpus : effective_cpu_count();
}

void check(const proc_count_options& options) {
  if (options.level < 0) throw std::invalid_argument("cannot count processes: the level is negative");
  if (options.core_div && *options.core_div < 1)
    throw std::invalid_argument("cannot count processes: core_div is less than 1");
  if (options.max_default && *options.max_default < 1)
    throw std::invalid_argument("cannot count processes: max_default is less than 1");
}

}  // namespace

int effective_cpu_count() { return detail::count_cpus().chosen; }

int proc_count(const proc_count_options& options) {
  check(options);
  const auto* in_force = detail::settings_in_force();
  const auto counted = [in_force](int number) { return number == -1 ? usable_cpus(in_force) : number; };
  if (options.level == 0) {
    if (const int given = detail::given_now(detail::setting::procs, in_force); given != 0) return counted(given);
  } else if (const auto text = detail::environment_variable("LK_NUM_PROCS")) {  // the only source that has levels
    const auto levels = detail::parse_levels("LK_NUM_PROCS", *text);
    const auto level = static_cast<std::size_t>(options.level);
    if (level >= levels.size()) return 1;
    if (levels[level] != 0) return counted(levels[level]);
  }

  if (!options.core_div) return 1;
  if (options.level == 1) return *options.core_div;
  if (options.level > 1) return 1;
  const int share = std::max(usable_cpus(in_force) / *options.core_div, 1);
  return options.max_default ? std::min(share, *options.max_default) : share;
}

}  // namespace lenskit
