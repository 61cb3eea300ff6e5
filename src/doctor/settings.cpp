#include <lenskit/settings.hpp>

#include <lenskit/detail/os/environment.hpp>
#include <lenskit/detail/settings/config_file.hpp>
#include <lenskit/detail/settings/resolve.hpp>
#include <lenskit/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "sections.hpp"

extern char** environ;

namespace lenskit::doctor {
namespace {

struct configuration {
  detail::setting_values values{};
  value directory{};
  value seed{};
};

configuration read_configuration(findings& found) {
  configuration result;
  const auto root = locate_configuration_root();
  if (!root) return result;
  result.directory = root->string();
  const auto warn = [&found](const std::string& text) { found.warnings.push_back({text}); };
  const auto local = detail::read_config_file(*root / "lenskit.local.toml", warn);
  const auto shared = detail::read_config_file(*root / "lenskit.toml", warn);
  result.values = detail::first_of({local.parallel, shared.parallel});
  if (const auto seed = local.seed ? local.seed : shared.seed) result.seed = *seed;
  return result;
}

}  // namespace

value examine_settings(findings& found) {
  try {
    const auto configured = read_configuration(found);
    const auto variables = detail::settings_of_environment(detail::environment_variable);
    const auto resolved = detail::resolve_settings({}, variables, configured.values);
    value::table settings{{"configuration", configured.directory}};
    for (std::size_t i = 0; i < detail::setting_keys.size(); ++i) {
      const auto& key = detail::setting_keys[i];
      if (key.number == nullptr) continue;
      const int number = key.in(resolved.settings);
      const std::string source = resolved.given.of[i].value ? resolved.given.of[i].origin : "default";
      settings.emplace_back(
          key.name,
          value(value::table{{"value", number}, {"source", source}}).shown_as(fmt::format("{} ({})", number, source)));
    }
    settings.emplace_back("random_seed", configured.seed);
    settings.emplace_back("total_threads", resolved.settings.total_threads());
    if (resolved.settings.num_procs > resolved.settings.num_cpus)
      found.warnings.push_back({fmt::format("num_procs is {}, but there are {} CPUs", resolved.settings.num_procs,
                                            resolved.settings.num_cpus)});
    return settings;
  } catch (const std::exception& error) {
    found.problems.push_back({error.what()});
    return value::table{{"error", error.what()}};
  }
}

value examine_variables() {
  value::table variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text(*entry);
    const std::size_t equals = std::min(text.find('='), text.size());
    const std::string name = text.substr(0, equals);
    if (name.starts_with("LK_") || name.starts_with("SLURM_CPUS") || name.ends_with("_NUM_THREADS") ||
        name.starts_with("OMP_") || name == "TMPDIR")
      variables.emplace_back(name, text.substr(std::min(equals + 1, text.size())));
  }
  std::sort(variables.begin(), variables.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return variables;
}

}  // namespace lenskit::doctor
