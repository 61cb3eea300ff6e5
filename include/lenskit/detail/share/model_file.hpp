// A model in a file: complete from the moment it has a name.
#pragma once

#include <lenskit/detail/share/model_parts.hpp>
#include <lenskit/detail/share/storage.hpp>

#include <filesystem>

namespace lenskit::detail {

/// `persist_method::file`.
extern const storage file_storage;

/// Writes a file of mode 0600. It gets its name, and a chosen name its new content, only when it is complete. First
/// removes what dead owners left in the directory. Throws no_space or persist_error, and then leaves nothing behind.
[[nodiscard]] written_model make_model_file(const model_parts& parts, const file_choice& choice);

/// Removes `path` if it is still the name of `file`.
void remove_model_file(const std::filesystem::path& path, int file) noexcept;

}  // namespace lenskit::detail
