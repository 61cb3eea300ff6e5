#include <lenskit/detail/log/log_replay.hpp>
#include <lenskit/detail/log/origin.hpp>
#include <lenskit/detail/log/spdlog_internals.hpp>

#include <chrono>
#include <cstring>
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

bool parse_log_record(std::string_view body, bool may_be_cut, log_record& record) noexcept {
  if (body.size() < sizeof record.fields) return false;
  std::memcpy(&record.fields, body.data(), sizeof record.fields);
  auto rest = body.substr(sizeof record.fields);
  const auto& fields = record.fields;
  const std::size_t before_text = std::size_t{fields.name_bytes} + fields.file_bytes + fields.function_bytes;
  if (fields.level >= spdlog::level::n_levels || rest.size() < before_text) return false;
  const auto text_bytes = rest.size() - before_text;
  if (text_bytes > fields.text_bytes || (text_bytes < fields.text_bytes && !may_be_cut)) return false;
  const auto take = [&rest](std::size_t count) {
    const auto part = rest.substr(0, count);
    rest.remove_prefix(count);
    return part;
  };
  record.name = take(fields.name_bytes);
  record.file = take(fields.file_bytes);
  record.function = take(fields.function_bytes);
  record.text = rest;
  return true;
}

// Null if the registry is busy.
const log_replay::known_logger* log_replay::find_logger(std::string_view name) {
  for (const auto& known : known_)
    if (known.name == name) return &known;
  std::string owned(name);
  known_.reserve(known_.size() + 1);
  const registry_glance registered;
  if (!registered) return nullptr;
  auto logger = registered.logger_or_default(owned);
  known_.push_back({std::move(owned), std::move(logger)});
  return &known_.back();
}

spdlog::source_loc log_replay::source_of(const log_record& record) {
  if (record.fields.has_source == 0) return {};
  if (last_source_.file.data() == nullptr || last_source_.file != record.file) last_source_.file = intern(record.file);
  if (last_source_.function.data() == nullptr || last_source_.function != record.function)
    last_source_.function = intern(record.function);
  return {last_source_.file.data(), record.fields.line, last_source_.function.data()};
}

bool log_replay::log(const log_record& record) noexcept try {
  const auto* known = find_logger(record.name);
  if (known == nullptr) return false;
  auto* logger = known->logger.get();
  if (logger == nullptr) return true;
  const auto level = static_cast<spdlog::level::level_enum>(record.fields.level);
  const bool wanted = logger->should_log(level);
  const bool backtrace = logger->should_backtrace();
  if (!wanted && !backtrace) return true;

  using namespace std::chrono;
  const auto text = [](std::string_view view) { return spdlog::string_view_t(view.data(), view.size()); };
  const spdlog::log_clock::time_point time(duration_cast<spdlog::log_clock::duration>(nanoseconds(record.fields.time)));
  spdlog::details::log_msg message(time, source_of(record), text(record.name), level, text(record.text));
  message.thread_id = record.fields.thread;
  const log_origin origin{static_cast<pid_t>(record.fields.process), worker_,
                          steady_clock::time_point(nanoseconds(record.fields.monotonic))};
  const origin_scope scope(origin);
  logger_door::log_it(*logger, message, wanted, backtrace);
  return true;
} catch (...) {
  // A sink or a handler of the user threw what spdlog does not catch. The worker's record is not worth the parent.
  return true;
}

bool deliver_log(delivery_channel* from, std::string_view body) {
  log_record record;
  return !parse_log_record(body, false, record) || from->replay->log(record);
}

}  // namespace lenskit::detail
