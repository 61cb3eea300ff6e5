// Which program or library an address lies in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace lenskit::detail {

/// A program or library that the loader has mapped into this process.
struct loaded_file {
  std::string path;
  std::uint64_t base;  ///< where it starts
};

/// The file that a static object or function comes from; none for what is on the heap or a stack.
[[nodiscard]] std::optional<loaded_file> find_loaded_file(std::uint64_t address);

}  // namespace lenskit::detail
