// lenskit.toml and lenskit.local.toml.
#pragma once

#include <lenskit/detail/settings/resolve.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace lenskit::detail {

/// What a configuration file sets.
struct config_file {
  setting_values parallel{};
  std::optional<std::uint64_t> seed{};
};

/// Reads the `[parallel]` and `[random]` tables of `file`; nothing when there is no such file. `warn` is told of
/// unknown keys. Throws `settings_error` with file, line, key and value.
config_file read_config_file(const std::filesystem::path& file, const std::function<void(const std::string&)>& warn);

}  // namespace lenskit::detail
