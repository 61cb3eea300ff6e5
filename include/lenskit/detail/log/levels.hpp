// The levels of the parent's loggers, which workers filter by.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace lenskit::detail {

/// The levels of all registered loggers as they were last seen.
struct logger_levels {
  std::shared_ptr<const std::string> encoded{};  ///< for `apply_levels` in a worker; null if they were never seen
  std::uint64_t version = 0;                     ///< raised when a change is seen
};

/// Looks at the loggers. Takes a microsecond; while somebody else uses spdlog's registry it tries again for so long,
/// but only once while that goes on: then the levels stay as they were last seen. Never under a lock of the pool.
void refresh_levels(std::chrono::nanoseconds patience = {}) noexcept;

/// Looks at the loggers if nobody has done so for 20 ms. Never waits.
void refresh_levels_if_due() noexcept;

/// Of what `known_levels` would return. Waits for nothing and nobody.
[[nodiscard]] std::uint64_t levels_version() noexcept;

/// What was seen last. Takes no lock but the library's own, for an instant.
[[nodiscard]] logger_levels known_levels() noexcept;

}  // namespace lenskit::detail
