// The ways to share a model, and how to choose one.
#pragma once

#include <filesystem>
#include <string_view>

namespace lenskit {

/// How a model gets to other processes.
enum class persist_method {
  automatic,  ///< `file` if LK_TEMP_DIR is set, else `shm` if the type can be stored, else `inherit`
  shm,        ///< anonymous shared memory, sealed
  file,       ///< a mapped file in LK_TEMP_DIR or the system's directory for temporary files
  inherit,    ///< the parent's object as it was when the workers were forked, for any type
};

/// What `persist` can be told.
struct persist_options {
  persist_method method = persist_method::automatic;
  std::filesystem::path dir{};   ///< where the file goes, with a name of its own; removed by its owner
  std::filesystem::path file{};  ///< the name of the file, which is replaced if it exists, and kept
};

/// The method of a name that people write: "automatic", "shm", "file" (or LensKit's "binpickle") or "inherit".
///
///     options.method = lenskit::parse_persist_method(argv[1]);
///
/// Throws std::invalid_argument naming any other value. Safe everywhere.
///
/// LensKit: knows "shm" and "binpickle".
[[nodiscard]] persist_method parse_persist_method(std::string_view name);

/// The name that `parse_persist_method` reads.
[[nodiscard]] std::string_view to_string(persist_method method) noexcept;

}  // namespace lenskit
