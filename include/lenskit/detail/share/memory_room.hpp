// Whether there is memory for one more copy of a model, asked before it is made (failure S13).
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

namespace lenskit::detail {

/// Memory that can still be had, and what sets the limit.
struct memory_room {
  std::size_t bytes = 0;
  std::string where;
};

/// The least of what the machine has left (MemAvailable and free swap) and what every control group around this process
/// still allows. `root` is the directory that stands for `/`. Empty when nothing can be found out.
std::optional<memory_room> find_memory_room(const std::filesystem::path& root = "/");

/// Throws no_space if `bytes` are more than there is; warns if they are most of it.
void check_memory_room(std::size_t bytes, const std::filesystem::path& root = "/");

}  // namespace lenskit::detail
