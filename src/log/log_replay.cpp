#include <lenskit/detail/log/log_replay.hpp>
#include <lenskit/detail/log/origin.hpp>
#include <lenskit/detail/log/spdlog_internals.hpp>

#include <spdlog/details/registry.h>

#include <chrono>
#include <mutex>
#include <unordered_set>

namespace lenskit::detail {

std::string_view intern(std::string_view text) {
  struct hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const noexcept { return std::hash<std::string_view>{}(key); }
  };
  struct store {
    std::mutex mutex;
    std::unordered_set<std::string, hash, std::equal_to<>> texts;
  };
  constexpr std::size_t most = 65'536;
  static auto* known = new store;  // records may be formatted while static objects are destroyed
  const std::lock_guard held(known->mutex);
  if (const auto found = known->texts.find(text); found != known->texts.end()) return *found;
  if (known->texts.size() >= most) return "";
  return *known->texts.emplace(text).first;
}

spdlog::logger* log_replay::logger_for(std::string_view name) {
  for (const auto& known : known_)
    if (known.name == name) return known.logger.get();
  if (!registry_lives()) return nullptr;
  auto& registered = spdlog::details::registry::instance();
  std::string owned(name);
  auto logger = registered.get(owned);
  if (!logger) logger = registered.default_logger();
  known_.push_back({std::move(owned), std::move(logger)});
  return known_.back().logger.get();
}

spdlog::source_loc log_replay::source_of(const log_record& record) {
  if (record.fields.has_source == 0) return {};
  if (last_source_.file.data() == nullptr || last_source_.file != record.file) last_source_.file = intern(record.file);
  if (last_source_.function.data() == nullptr || last_source_.function != record.function)
    last_source_.function = intern(record.function);
  return {last_source_.file.data(), record.fields.line, last_source_.function.data()};
}

void log_replay::log(const log_record& record) noexcept try {
  auto* logger = logger_for(record.name);
  if (logger == nullptr) return;
  const auto level = static_cast<spdlog::level::level_enum>(record.fields.level);
  const bool wanted = logger->should_log(level);
  const bool backtrace = logger->should_backtrace();
  if (!wanted && !backtrace) return;

  using namespace std::chrono;
  const auto text = [](std::string_view view) { return spdlog::string_view_t(view.data(), view.size()); };
  const spdlog::log_clock::time_point time(duration_cast<spdlog::log_clock::duration>(nanoseconds(record.fields.time)));
  spdlog::details::log_msg message(time, source_of(record), text(record.name), level, text(record.text));
  message.thread_id = record.fields.thread;
  const log_origin origin{static_cast<pid_t>(record.fields.process), worker_,
                          steady_clock::time_point(nanoseconds(record.fields.monotonic))};
  const origin_scope scope(origin);
  logger_door::log_it(*logger, message, wanted, backtrace);
} catch (...) {
  // A sink or a handler of the user threw what spdlog does not catch. The worker's record is not worth the parent.
}

}  // namespace lenskit::detail
