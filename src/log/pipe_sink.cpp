#include <lenskit/detail/log/origin.hpp>
#include <lenskit/detail/log/pipe_sink.hpp>
#include <lenskit/detail/log/report_writer.hpp>
#include <lenskit/detail/os/clock.hpp>

#include <spdlog/details/os.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

namespace lenskit::detail {
namespace {

using std::chrono::duration_cast;
using std::chrono::nanoseconds;

std::atomic<std::size_t> inherited_thread{0};

constexpr std::size_t max_name = 1024;
constexpr std::size_t max_text = max_report - 4 * max_name;

std::uint16_t clipped_length(const char* text) noexcept {
  return static_cast<std::uint16_t>(text != nullptr ? ::strnlen(text, max_name) : 0);
}

// spdlog caches thread numbers per thread, and the main thread of a fork inherits the cache. The number of a main
// thread is that of its process.
std::uint32_t thread_of(const spdlog::details::log_msg& message) noexcept {
  return message.thread_id == inherited_thread.load(std::memory_order_relaxed)
             ? current_process()
             : static_cast<std::uint32_t>(message.thread_id);
}

}  // namespace

void note_inherited_thread() noexcept { inherited_thread.store(spdlog::details::os::thread_id()); }

void write_log_report(const spdlog::details::log_msg& message) noexcept {
  log_fields fields{};
  fields.time = duration_cast<nanoseconds>(message.time.time_since_epoch()).count();
  if (const auto* origin = current_log_origin()) {
    // A record of a worker of this worker, on its way up.
    fields.monotonic = duration_cast<nanoseconds>(origin->time.time_since_epoch()).count();
    fields.process = static_cast<std::uint32_t>(origin->pid);
    fields.thread = static_cast<std::uint32_t>(message.thread_id);
  } else {
    fields.monotonic = now_ns();
    fields.process = current_process();
    fields.thread = thread_of(message);
  }
  fields.level = static_cast<std::uint8_t>(message.level);
  fields.line = message.source.line;
  fields.has_source = message.source.empty() ? 0 : 1;
  fields.file_bytes = clipped_length(message.source.filename);
  fields.function_bytes = clipped_length(message.source.funcname);
  fields.name_bytes = static_cast<std::uint16_t>(std::min(message.logger_name.size(), max_name));
  const auto text_bytes = std::min(message.payload.size(), max_text);
  fields.text_bytes = static_cast<std::uint32_t>(text_bytes);
  write_report(report_kind::log, message.level >= spdlog::level::warn ? patience::full : patience::brief,
               {{&fields, sizeof fields},
                {message.logger_name.data(), fields.name_bytes},
                {message.source.filename, fields.file_bytes},
                {message.source.funcname, fields.function_bytes},
                {message.payload.data(), text_bytes}});
}

void diverting_formatter::format(const spdlog::details::log_msg& message, spdlog::memory_buf_t&) {
  // A logger with several sinks has several clones of this: the first one reports.
  thread_local const void* last_text = nullptr;
  thread_local spdlog::log_clock::time_point last_time{};
  if (last_text == message.payload.data() && last_time == message.time) return;
  last_text = message.payload.data();
  last_time = message.time;
  write_log_report(message);
}

std::unique_ptr<spdlog::formatter> diverting_formatter::clone() const {
  return std::make_unique<diverting_formatter>();
}

}  // namespace lenskit::detail
