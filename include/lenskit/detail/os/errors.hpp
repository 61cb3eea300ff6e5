// Turns errno into the library's messages: a verb phrase, then the system's own text.
#pragma once

#include <cerrno>
#include <string>
#include <system_error>

namespace lenskit::detail {

/// The limit that a call has met which failed with `error` for want of descriptors, processes or threads, and its
/// value; empty for other errors.
[[nodiscard]] std::string limit_behind(int error);

/// The system's own text, and that limit.
[[nodiscard]] std::string error_text(int error);

/// Throws std::system_error with `what`, the limit behind it and the text of `error` (default: errno now).
[[noreturn]] void throw_errno(const std::string& what, int error = errno);

}  // namespace lenskit::detail
