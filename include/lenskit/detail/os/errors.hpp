// Turns errno into the library's messages: a verb phrase, then the system's own text.
#pragma once

#include <cerrno>
#include <string>
#include <system_error>

namespace lenskit::detail {

/// Throws std::system_error with `what` and the text of `error` (default: errno now).
[[noreturn]] inline void throw_errno(const std::string& what, int error = errno) {
  throw std::system_error(error, std::generic_category(), what);
}

}  // namespace lenskit::detail
