// From everything that can set a number of threads or processes to one number, remembering where it came from.
#pragma once

#include <lenskit/detail/os/environment.hpp>
#include <lenskit/settings.hpp>

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace lenskit::detail {

/// One number of `parallel_settings`, by all of its names.
struct setting_key {
  const char* name;      // in code and in [parallel]
  const char* variable;  // of the environment
  int parallel_settings::*number;
};

inline constexpr std::array<setting_key, 6> setting_keys{{
    {"num_cpus", "LK_NUM_CPUS", &parallel_settings::num_cpus},
    {"num_procs", "LK_NUM_PROCS", &parallel_settings::num_procs},
    {"num_batch_jobs", "LK_NUM_BATCH_JOBS", &parallel_settings::num_batch_jobs},
    {"num_threads", "LK_NUM_THREADS", &parallel_settings::num_threads},
    {"num_backend_threads", "LK_NUM_BACKEND_THREADS", &parallel_settings::num_backend_threads},
    {"num_child_threads", "LK_NUM_CHILD_THREADS", &parallel_settings::num_child_threads},
}};

/// The index of a key in `setting_keys`.
enum class setting : std::size_t { cpus, procs, batch_jobs, threads, backend_threads, child_threads };

/// What one source has to say; 0 and empty are nothing. `origins` says where each number is, for messages: a variable,
/// or a file and line.
struct setting_values {
  std::array<int, setting_keys.size()> numbers{};
  std::array<std::string, setting_keys.size()> origins{};
  std::optional<bool> use_ray{};
  std::string use_ray_origin{};

  [[nodiscard]] int operator[](setting key) const noexcept { return numbers[static_cast<std::size_t>(key)]; }
};

/// The settings in force and where each of them came from.
struct resolved_settings {
  parallel_settings settings{};
  setting_values given{};      // the winners before defaults: an origin is empty where the default was taken
  setting_values arguments{};  // what the program gave
  setting_values files{};      // what the configuration files say, the local one first
};

/// The numbers that the program gave to `initialize`.
setting_values settings_of_arguments(const parallel_settings& arguments);

/// The numbers of the `LK_*` variables; throws `settings_error`.
setting_values settings_of_environment(const environment& variables);

/// Of several sources the first that has a number.
setting_values first_of(const std::vector<setting_values>& sources);

/// The arguments, then the environment, then the files, then the defaults. Throws `settings_error`.
resolved_settings resolve_settings(const setting_values& arguments, const setting_values& variables,
                                   const setting_values& files);

/// The numbers in a list such as "7,3", one for each level; throws `settings_error` that names `variable`.
std::vector<int> parse_levels(const char* variable, const std::string& text);

/// A number as a setting takes it: -1 or more; throws `settings_error` that says where it was found.
int checked_setting(int value, const std::string& origin);

/// Throws the error for Ray wanted at `origin`.
[[noreturn]] void refuse_ray(const std::string& origin);

/// The settings in force in this process; null before they were made. Never freed.
const resolved_settings* settings_in_force() noexcept;

}  // namespace lenskit::detail
