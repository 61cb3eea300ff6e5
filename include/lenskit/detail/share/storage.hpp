// What tells the persist methods apart: one row a method. All that reads a name, stores, sends, takes over or removes a
// model asks the row and knows no method by itself; only which of them `automatic` comes to is decided in persist.cpp.
#pragma once

#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/share/model_format.hpp>
#include <lenskit/detail/share/model_parts.hpp>
#include <lenskit/persist_method.hpp>

#include <filesystem>
#include <string_view>

namespace lenskit::detail {

/// Where to put the file of a model; at most one of the two, neither for the default directory.
struct file_choice {
  std::filesystem::path directory{};  ///< for a file with a random name, which is removed when its owner is done
  std::filesystem::path file{};       ///< a name that the user chose, for a file that is kept
  bool nameless = false;              ///< nobody needs a name: then nothing can be left behind
};

/// A model that was written.
struct written_model {
  descriptor bytes;              ///< what is mapped, and sent to other processes
  std::filesystem::path path{};  ///< absolute; empty where there is no name
  bool kept = false;             ///< it is the user's, and never removed
};

/// A way to keep the bytes of a model where a descriptor leads to them. Each is defined beside what it is made of.
struct storage {
  bool takes_place;        ///< the user may say in which directory or file
  bool lasts;              ///< costs no memory of its own: kept when nobody needs the mapping, else stored again
  model_origin made_here;  ///< how far the bytes are believed: where they were written,
  model_origin taken;      ///< and where another process has taken them over
  /// Throws no_space or persist_error, and leaves nothing behind then.
  written_model (*write)(const model_parts& parts, const file_choice& choice);
  /// What to look at before a descriptor that another process has sent is used. Throws persist_error.
  void (*accept)(int fd);
  /// Removes the name of what the descriptor refers to; null if it never has one.
  void (*remove)(const std::filesystem::path& path, int fd) noexcept;
};

struct method_row {
  persist_method method;
  std::string_view name;
  std::string_view also;     ///< LensKit's name, if it has another
  const storage* stored_as;  ///< null if nothing is stored
};

/// Null for what is no method.
[[nodiscard]] const method_row* find_method(persist_method method) noexcept;

/// Throws std::invalid_argument if the method is none that stores anything.
[[nodiscard]] const storage& storage_of(persist_method method);

}  // namespace lenskit::detail
