// Small files as strings, such as those under /proc.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace lenskit::detail {

/// What is in a file; nothing, and errno says why, if it cannot be read. Unlike a standard stream it leaves no
/// descriptor to a program that another thread starts meanwhile (failure F5). Thread-safe.
[[nodiscard]] std::optional<std::string> read_text_file(const std::filesystem::path& file);

}  // namespace lenskit::detail
