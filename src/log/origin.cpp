#include <lenskit/detail/log/origin.hpp>

#include <spdlog/details/os.h>

namespace lenskit {
namespace {

thread_local constinit const log_origin* origin_here = nullptr;

}  // namespace

const log_origin* current_log_origin() noexcept { return origin_here; }

detail::origin_scope::origin_scope(const log_origin& origin) noexcept : outer_(origin_here) { origin_here = &origin; }

detail::origin_scope::~origin_scope() { origin_here = outer_; }

void worker_pid_flag::format(const spdlog::details::log_msg&, const std::tm&, spdlog::memory_buf_t& dest) {
  const auto pid = origin_here != nullptr ? origin_here->pid : static_cast<pid_t>(spdlog::details::os::pid());
  fmt::format_to(fmt::appender(dest), "{}", pid);
}

std::unique_ptr<spdlog::custom_flag_formatter> worker_pid_flag::clone() const {
  return std::make_unique<worker_pid_flag>();
}

std::unique_ptr<spdlog::formatter> worker_pattern(std::string pattern) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<worker_pid_flag>('P').set_pattern(std::move(pattern));
  return formatter;
}

}  // namespace lenskit
