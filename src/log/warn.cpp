#include <lenskit/detail/log/warn.hpp>

#include <spdlog/spdlog.h>

namespace lenskit::detail {

void log_warning(std::string_view message) noexcept {
  // A program may have dropped the default logger.
  if (auto* logger = spdlog::default_logger_raw()) logger->log(spdlog::level::warn, message);
}

}  // namespace lenskit::detail
