// Where code lies, as another process that runs the same program understands it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace lenskit::detail {

/// A place in the program or in a library that it has loaded, wherever that lies in memory.
struct code_address {
  std::string object{};  ///< path of the library; empty: the program itself
  std::uint64_t offset = 0;
};

/// Where `code` lies; nothing if in no loaded object, as what is made at run time. Takes the loader's lock. Throws
/// std::bad_alloc.
[[nodiscard]] std::optional<code_address> locate_code(const void* code);

/// What lies there in this process; null if it has not loaded that object, or there is no code at that place. Takes the
/// loader's lock.
[[nodiscard]] const void* code_at(const code_address& where) noexcept;

}  // namespace lenskit::detail
