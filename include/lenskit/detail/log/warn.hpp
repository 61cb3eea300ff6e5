// Warnings of the library itself.
#pragma once

#include <string_view>

namespace lenskit::detail {

/// Logs `message` as a warning through spdlog's default logger. Never throws.
void log_warning(std::string_view message) noexcept;

}  // namespace lenskit::detail
