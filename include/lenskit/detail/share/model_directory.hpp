// A directory for the files of models, and how they come and go in it without being caught by a trap.
#pragma once

#include <lenskit/detail/os/descriptor.hpp>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace lenskit::detail {

/// An open directory that is safe to put files into: nobody else can replace them there (failure S7).
class model_directory {
 public:
  /// Throws persist_error: if it is no directory, a symbolic link of a stranger, owned by one, or open to all without
  /// the sticky bit.
  explicit model_directory(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  /// A new file without a name, of mode 0600 whatever the umask. Where the file system cannot do that, or there is no
  /// /proc by which it could get one (failure H4), it has a name of its own already, which `named` then says.
  struct new_file {
    descriptor file;
    std::string named;
  };
  [[nodiscard]] new_file create() const;
  /// A descriptor through which a new file cannot be written: so no process that has it can make its mapping writable.
  [[nodiscard]] descriptor reopen_for_reading(const new_file& file) const;
  /// Gives a new file its first name, one that did not exist. Returns the name.
  [[nodiscard]] std::string name(const new_file& file) const;
  /// Replaces whatever is at `to` in one step. `to` may be a symbolic link, which is replaced and not followed.
  void rename(const std::string& from, const std::string& to) const;
  void remove(const std::string& name) const noexcept;
  /// Makes names durable.
  void sync() const noexcept;

  /// Removes the model files of this user whose owners have died without doing so (failure S1).
  void sweep() const noexcept;

 private:
  [[nodiscard]] new_file create_named() const;

  std::filesystem::path path_;
  descriptor directory_;
};

/// Marks the owner of a model file as alive for as long as the descriptor, or one that shares it by dup, fork or
/// SCM_RIGHTS, is open.
void hold_alive(int fd) noexcept;

/// `lenskit-` and 128 random bits. A seam for tests; the one that they install replaces it.
using name_source = std::string (*)();
void use_names(name_source source) noexcept;

/// The directory that LK_TEMP_DIR names, if it is set.
[[nodiscard]] std::optional<std::filesystem::path> chosen_model_directory();
/// Where models go when the user names no directory: the chosen one, else the system's. Throws persist_error.
[[nodiscard]] std::filesystem::path default_model_directory();

}  // namespace lenskit::detail
