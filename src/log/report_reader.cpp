#include <lenskit/detail/log/log_line.hpp>
#include <lenskit/detail/log/log_replay.hpp>
#include <lenskit/detail/log/report_reader.hpp>
#include <lenskit/detail/log/worker_progress.hpp>
#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/os/system.hpp>

#include <spdlog/pattern_formatter.h>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace lenskit::detail {
namespace {

constexpr std::size_t bulk = std::size_t{64} << 10;
constexpr std::size_t fair_share = std::size_t{1} << 20;
constexpr std::size_t max_partials = 1024;
constexpr std::size_t max_partial_bytes = std::size_t{64} << 20;

// Set while this thread passes reports on: a sink that comes back here finds nothing to do.
thread_local constinit bool draining = false;

struct draining_scope {
  draining_scope() noexcept { draining = true; }
  ~draining_scope() { draining = false; }
};

// One for each thread that reads, whatever the number of workers. The main thread's is gone before global objects are
// destroyed, and some of them use pools: they get another, which nobody frees.
char* read_buffer() {
  static thread_local constinit char* current = nullptr;
  struct owner {
    ~owner() { delete[] std::exchange(current, nullptr); }
  };
  if (current == nullptr) {
    current = new char[max_fragment + bulk];
    static thread_local const owner frees_it;
    static_cast<void>(frees_it);
  }
  return current;
}

bool plausible(const fragment_header& header) noexcept {
  return header.magic == fragment_header::mark && header.bytes >= sizeof header && header.bytes <= max_fragment;
}

// The fields at the beginning of `body`, and the rest as views; false if they contradict each other. With
// `may_be_cut` the text may be shorter than announced.
bool parse(const char* body, std::size_t bytes, bool may_be_cut, log_record& record) noexcept {
  if (bytes < sizeof record.fields) return false;
  std::memcpy(&record.fields, body, sizeof record.fields);
  std::string_view rest(body + sizeof record.fields, bytes - sizeof record.fields);
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

}  // namespace

report_reader::report_reader(descriptor read_end, pid_t pid, std::optional<int> worker)
    : pipe_(std::move(read_end)), pid_(pid), worker_(worker), replay_(std::make_unique<log_replay>(worker)) {
  const int flags = sys::fcntl(pipe_.get(), F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK) == 0) sys::fcntl(pipe_.get(), F_SETFL, flags | O_NONBLOCK);
  // More room for bursts; without it, or without the right to it, workers only wait sooner.
  constexpr long room = 256L << 10;
  sys::fcntl(pipe_.get(), F_SETPIPE_SZ, room);
}

report_reader::~report_reader() = default;

std::size_t report_reader::read_some() noexcept try {
  char* const buffer = read_buffer();
  std::memcpy(buffer, carry_.data(), carried_);
  const auto got = sys::retry([&] { return sys::read(pipe_.get(), buffer + carried_, bulk); });
  if (got == 0) at_end_.store(true, std::memory_order_release);
  if (got <= 0) return 0;
  const auto have = carried_ + static_cast<std::size_t>(got);
  carried_ = 0;
  const auto used = consume(buffer, have);
  carried_ = have - used;
  std::memcpy(carry_.data(), buffer + used, carried_);
  return static_cast<std::size_t>(got);
} catch (...) {
  return 0;  // only memory can have run out, and then a report is lost
}

std::size_t report_reader::drain() noexcept {
  if (draining) return 0;
  const std::lock_guard held(mutex_);
  const draining_scope scope;
  std::size_t total = 0;
  while (total < fair_share) {
    const auto got = read_some();
    if (got == 0) break;
    total += got;
  }
  replay_->forget_loggers();
  report_garbage();
  return total;
}

void report_reader::drain_until(std::uint64_t count) noexcept {
  while (delivered() < count)
    if (drain() == 0) return;
}

void report_reader::finish() noexcept {
  if (draining) return;
  // The worker is dead, but a process it forked may go on writing.
  const auto deadline = steady::now() + std::chrono::seconds(1);
  while (drain() > 0 && steady::now() < deadline) {}
  const std::lock_guard held(mutex_);
  const draining_scope scope;
  try {
    if (carried_ > 0) log_line(severity::warning, fmt::format("1 partial record of worker {}", pid_));
    carried_ = 0;
    for (const auto& cut_off : std::exchange(partials_, {})) report_partial(cut_off);
    close_worker_bars(pid_);
  } catch (...) {}
  replay_->forget_loggers();
}

std::size_t report_reader::consume(const char* bytes, std::size_t count) {
  std::size_t at = 0;
  while (count - at >= sizeof(fragment_header)) {
    fragment_header header;
    std::memcpy(&header, bytes + at, sizeof header);
    if (plausible(header)) {
      if (count - at < header.bytes) break;
      constexpr auto skip = sizeof header.check;
      if (report_check(bytes + at + skip, header.bytes - skip) == header.check) {
        accept(header, bytes + at + sizeof header, header.bytes - sizeof header);
        at += header.bytes;
        continue;
      }
    }
    ++at;  // the next good fragment is somewhere behind
    ++garbage_;
  }
  return at;
}

void report_reader::accept(const fragment_header& header, const char* body, std::size_t bytes) {
  if (header.lost > 0) {
    settle(header, header.lost);
    log_line(severity::warning,
             fmt::format("{} dropped: worker {} waited for room in its log pipe", header.lost, pid_));
  }
  if (!partials_.empty() && header.position == 0) {
    // A thread writes one report after the other: a new one means that it gave up the last.
    const auto abandoned = [&](const partial& other) {
      return other.first.process == header.process && other.first.thread == header.thread && header.report != 0;
    };
    for (auto cut_off = partials_.begin(); cut_off != partials_.end();) {
      if (!abandoned(*cut_off)) {
        ++cut_off;
        continue;
      }
      report_partial(*cut_off);
      settle(cut_off->first);
      cut_off = partials_.erase(cut_off);
    }
  }
  if (header.position == 0 && (header.flags & fragment_header::more) == 0) return deliver(header, body, bytes);
  collect(header, body, bytes);
}

void report_reader::collect(const fragment_header& header, const char* body, std::size_t bytes) {
  auto found = std::find_if(partials_.begin(), partials_.end(), [&](const partial& other) {
    return other.first.process == header.process && other.first.report == header.report;
  });
  if (found == partials_.end()) {
    if (header.position != 0 || partials_.size() >= max_partials) {
      garbage_ += header.bytes;
      return;
    }
    found = partials_.insert(found, {.first = header});
  }
  std::size_t held = 0;
  for (const auto& each : partials_) held += each.bytes.size();
  if (header.position != found->next || found->bytes.size() + bytes > max_report || held > max_partial_bytes) {
    garbage_ += header.bytes;
    return;
  }
  ++found->next;
  found->bytes.append(body, bytes);
  if ((header.flags & fragment_header::more) != 0) return;
  const auto whole = std::move(*found);
  partials_.erase(found);
  deliver(whole.first, whole.bytes.data(), whole.bytes.size());
}

void report_reader::deliver(const fragment_header& header, const char* body, std::size_t bytes) {
  bool good = false;
  switch (header.kind) {
    case report_kind::log: good = deliver_log(body, bytes); break;
    case report_kind::progress: good = apply_progress_report({body, bytes}, pid_); break;
    case report_kind::crash: good = deliver_crash(header, body, bytes); break;
    case report_kind::drops: return;
  }
  if (!good) garbage_ += sizeof header + bytes;
  settle(header);
}

bool report_reader::deliver_log(const char* body, std::size_t bytes) {
  log_record record;
  if (!parse(body, bytes, false, record)) return false;
  keep_line(record.fields, record.name, record.text);
  replay_->log(record);
  return true;
}

bool report_reader::deliver_crash(const fragment_header& header, const char* body, std::size_t bytes) {
  crash_fields fields;
  if (bytes < sizeof fields) return false;
  std::memcpy(&fields, body, sizeof fields);
  const std::size_t frame_bytes = std::size_t{fields.frames} * sizeof(std::uint64_t);
  if (bytes != sizeof fields + frame_bytes + fields.text_bytes) return false;
  crash_notice notice{fields.signal, fields.code, fields.address, header.thread, {}, {}};
  notice.frames.resize(fields.frames);
  if (frame_bytes > 0) std::memcpy(notice.frames.data(), body + sizeof fields, frame_bytes);
  notice.text.assign(body + sizeof fields + frame_bytes, fields.text_bytes);
  crash_ = std::move(notice);
  return true;
}

void report_reader::settle(const fragment_header& header, std::uint64_t count) noexcept {
  if ((header.flags & fragment_header::foreign) == 0) delivered_.fetch_add(count, std::memory_order_release);
}

void report_reader::report_partial(const partial& cut_off) {
  log_record record;
  if (cut_off.first.kind == report_kind::log && parse(cut_off.bytes.data(), cut_off.bytes.size(), true, record)) {
    keep_line(record.fields, record.name, record.text);
    log_line(severity::warning, fmt::format("1 partial record of worker {} (logger \"{}\", {} of {} bytes): {}", pid_,
                                            record.name, record.text.size(), record.fields.text_bytes, record.text));
  } else {
    log_line(severity::warning, fmt::format("1 partial record of worker {}", pid_));
  }
}

void report_reader::report_garbage() try {
  if (const auto bytes = std::exchange(garbage_, 0))
    log_line(severity::warning, fmt::format("{} bytes of damaged reports of worker {} dropped", bytes, pid_));
} catch (...) {}

void report_reader::keep_line(const log_fields& fields, std::string_view name, std::string_view text) {
  constexpr std::size_t longest = 1024;
  auto& line = lines_[n_lines_++ % lines_.size()];
  line.time = fields.time;
  line.level = fields.level;
  line.name.assign(name.substr(0, longest));
  line.text.assign(text.substr(0, longest));
}

std::vector<std::string> report_reader::last_lines() const {
  const std::lock_guard held(mutex_);
  std::vector<std::string> formatted;
  spdlog::pattern_formatter formatter(spdlog::pattern_time_type::local, "");
  const auto count = std::min(n_lines_, lines_.size());
  for (std::size_t i = n_lines_ - count; i < n_lines_; ++i) {
    const auto& line = lines_[i % lines_.size()];
    using namespace std::chrono;
    const spdlog::log_clock::time_point time(duration_cast<spdlog::log_clock::duration>(nanoseconds(line.time)));
    spdlog::memory_buf_t text;
    formatter.format({time, {}, line.name, static_cast<spdlog::level::level_enum>(line.level), line.text}, text);
    formatted.emplace_back(text.data(), text.size());
  }
  return formatted;
}

std::optional<crash_notice> report_reader::crash() const {
  const std::lock_guard held(mutex_);
  return crash_;
}

}  // namespace lenskit::detail
