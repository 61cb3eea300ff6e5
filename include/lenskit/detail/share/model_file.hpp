// A model in a file: complete from the moment it has a name.
#pragma once

#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/share/model_parts.hpp>

#include <filesystem>

namespace lenskit::detail {

/// Where to put the file of a model; at most one of the two, neither for the default directory.
struct file_choice {
  std::filesystem::path directory{};  ///< for a file with a random name, which is removed when its owner is done
  std::filesystem::path file{};       ///< a name that the user chose, for a file that is kept
  bool nameless = false;              ///< nobody needs a name: then nothing can be left behind
};

struct model_file {
  descriptor file;             ///< open for reading; marks the owner as alive
  std::filesystem::path path;  ///< absolute; empty for a nameless one
  bool kept = false;           ///< it is the user's, and never removed
};

/// Writes a file of mode 0600. It gets its name, and a chosen name its new content, only when it is complete. First
/// removes what dead owners left in the directory. Throws no_space or persist_error, and then leaves nothing behind.
[[nodiscard]] model_file make_model_file(const model_parts& parts, const file_choice& choice);

/// Removes `path` if it is still the name of `file`.
void remove_model_file(const std::filesystem::path& path, int file) noexcept;

}  // namespace lenskit::detail
