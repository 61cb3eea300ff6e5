// What lies in a directory.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace lenskit::detail {

/// The names in it, without "." and ".."; nothing if it cannot be read. Throws std::bad_alloc:
/// std::filesystem::directory_iterator ends the program where there is no memory (A1).
[[nodiscard]] std::optional<std::vector<std::string>> names_in(const std::filesystem::path& directory);

}  // namespace lenskit::detail
