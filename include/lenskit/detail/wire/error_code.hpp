// std::error_code across processes.
#pragma once

#include <cstdint>
#include <string>
#include <system_error>

namespace lenskit::detail {

/// An error code in fields that can travel. A category is an object that is known by its address. The standard ones are
/// found by name; any other by where it lies in which loaded file, since a worker is a fork of its parent: only if the
/// parent has the same file at the same place, it is taken for the same object.
struct plain_error_code {
  std::int32_t value = 0;
  std::string category{};    // its name; empty for none
  std::string file{};        // the program or library it lies in; empty if it does not
  std::uint64_t base = 0;    // where that is loaded
  std::uint64_t offset = 0;  // where in there it lies
  std::uint64_t check = 0;   // the inverse of both: a damaged address must not be followed
};

[[nodiscard]] plain_error_code take_apart(const std::error_code& code);

/// The code again; with a category of the same name that is not the same if that is not to be had here.
[[nodiscard]] std::error_code put_together(const plain_error_code& fields);

}  // namespace lenskit::detail
