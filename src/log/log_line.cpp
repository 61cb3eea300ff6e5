#include <lenskit/detail/log/log_line.hpp>
#include <lenskit/detail/log/spdlog_internals.hpp>

#include <spdlog/details/registry.h>

namespace lenskit::detail {
namespace {

spdlog::level::level_enum level_of(severity how) noexcept {
  switch (how) {
    case severity::debug: return spdlog::level::debug;
    case severity::info: return spdlog::level::info;
    case severity::warning: return spdlog::level::warn;
    case severity::error: return spdlog::level::err;
  }
  return spdlog::level::err;
}

void log_to(spdlog::logger* logger, severity how, std::string_view text) {
  if (logger == nullptr) return;
  const auto level = level_of(how);
  const bool wanted = logger->should_log(level);
  const bool backtrace = logger->should_backtrace();
  if (!wanted && !backtrace) return;
  logger_door::log_it(*logger, {"lenskit", level, spdlog::string_view_t(text.data(), text.size())}, wanted, backtrace);
}

}  // namespace

void log_line(severity how, std::string_view text) noexcept try {
  if (!registry_lives()) return;
  auto& registered = spdlog::details::registry::instance();
  auto logger = registered.get("lenskit");
  if (!logger) logger = registered.default_logger();
  log_to(logger.get(), how, text);
} catch (...) {
  // A sink of the user threw; its logger has told about it.
}

bool try_log_line(severity how, std::string_view text) noexcept try {
  std::shared_ptr<spdlog::logger> logger;
  {
    const registry_glance registered;
    if (!registered) return false;
    logger = registered.logger_or_default("lenskit");
  }
  log_to(logger.get(), how, text);
  return true;
} catch (...) {
  return true;
}

}  // namespace lenskit::detail
