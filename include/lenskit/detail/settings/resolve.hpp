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

/// One field of `parallel_settings`, by all of its names.
struct setting_key {
  const char* name;      // in code and in [parallel]
  const char* variable;  // of the environment
  int parallel_settings::*number = nullptr;
  bool parallel_settings::*flag = nullptr;
  bool by_level = false;  // the variable is a list, one number for each level of processes

  [[nodiscard]] int in(const parallel_settings& settings) const noexcept {
    return flag != nullptr ? static_cast<int>(settings.*flag) : settings.*number;
  }
  void set(parallel_settings& settings, int value) const noexcept {
    if (flag != nullptr)
      settings.*flag = value != 0;
    else
      settings.*number = value;
  }
};

inline constexpr std::array<setting_key, 7> setting_keys{{
    {.name = "num_cpus", .variable = "LK_NUM_CPUS", .number = &parallel_settings::num_cpus},
    {.name = "num_procs", .variable = "LK_NUM_PROCS", .number = &parallel_settings::num_procs, .by_level = true},
    {.name = "num_batch_jobs", .variable = "LK_NUM_BATCH_JOBS", .number = &parallel_settings::num_batch_jobs},
    {.name = "num_threads", .variable = "LK_NUM_THREADS", .number = &parallel_settings::num_threads},
    {.name = "num_backend_threads",
     .variable = "LK_NUM_BACKEND_THREADS",
     .number = &parallel_settings::num_backend_threads},
    {.name = "num_child_threads", .variable = "LK_NUM_CHILD_THREADS", .number = &parallel_settings::num_child_threads},
    {.name = "use_ray", .variable = "LK_USE_RAY", .flag = &parallel_settings::use_ray},
}};

/// The index of a key in `setting_keys`.
enum class setting : std::size_t { cpus, procs, batch_jobs, threads, backend_threads, child_threads, use_ray };

/// What one source says of one setting. A number that is 0 says nothing; a flag is 0 or 1.
struct given_setting {
  std::optional<int> value{};
  std::string origin{};  ///< for messages: a variable, or a file and line
};

/// What one source has to say.
struct setting_values {
  std::array<given_setting, setting_keys.size()> of{};

  /// 0 if it says nothing.
  [[nodiscard]] int operator[](setting key) const noexcept {
    return of[static_cast<std::size_t>(key)].value.value_or(0);
  }
};

/// The settings in force and where each of them came from.
struct resolved_settings {
  parallel_settings settings{};
  setting_values given{};      // the winners before defaults: an origin is empty where the default was taken
  setting_values arguments{};  // what the program gave
  setting_values files{};      // what the configuration files say, the local one first
};

/// What the program gave to `initialize`.
setting_values settings_of_arguments(const parallel_settings& arguments);

/// What the `LK_*` variables say; throws `settings_error`.
setting_values settings_of_environment(const environment& variables);

/// For each setting the first of several sources that says something of it.
setting_values first_of(const std::vector<setting_values>& sources);

/// What holds for one setting now: the variables may have changed since the others were read. `known`: the settings in
/// force, if there are any. Throws `settings_error`.
int given_now(setting key, const resolved_settings* known);

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
