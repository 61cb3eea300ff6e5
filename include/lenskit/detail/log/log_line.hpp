// What the library itself has to say.
#pragma once

#include <cstdint>
#include <string_view>

namespace lenskit::detail {

enum class severity : std::uint8_t { debug, info, warning, error };

/// Logs `text` through the logger "lenskit" if the user has registered one, else through the sinks and the level of the
/// default logger. In a worker the parent does so. Throws nothing.
void log_line(severity how, std::string_view text) noexcept;

/// Likewise, but false, and nothing done, if spdlog's registry is busy; waits for nothing but the sinks. Within a
/// `foreign_call`.
bool try_log_line(severity how, std::string_view text) noexcept;

inline void log_warning(std::string_view text) noexcept { log_line(severity::warning, text); }

}  // namespace lenskit::detail
