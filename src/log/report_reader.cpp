#include <lenskit/detail/log/foreign_call.hpp>
#include <lenskit/detail/log/log_replay.hpp>
#include <lenskit/detail/log/report_reader.hpp>
#include <lenskit/detail/log/worker_progress.hpp>
#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/os/signals.hpp>
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
constexpr std::size_t largest_pipe = std::size_t{1} << 20;  // without privileges, unless an administrator allows more
constexpr std::size_t max_partials = 1024;
constexpr std::size_t max_partial_bytes = std::size_t{64} << 20;

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

}  // namespace

report_reader::report_reader(descriptor read_end, std::optional<int> worker)
    : pipe_(std::move(read_end)), channel_(std::make_shared<delivery_channel>(worker)) {
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
  const file_limit_shield shield;  // the sinks may write to files: nobody dies of what a worker logs
  const auto used = consume(buffer, have);
  carried_ = have - used;
  std::memcpy(carry_.data(), buffer + used, carried_);
  return static_cast<std::size_t>(got);
} catch (...) {
  return 0;  // only memory can have run out, and then a report is lost
}

std::size_t report_reader::read(std::size_t most, bool even_if_full) noexcept try {
  auto& delivery = log_delivery::instance();
  std::unique_lock held(mutex_);
  std::size_t total = 0;
  while (total < most && (even_if_full || !log_delivery::full())) {
    const auto got = read_some();
    post();
    if (got == 0) break;
    total += got;
  }
  say_garbage();
  post();
  held.unlock();
  delivery.help();
  return total;
} catch (const std::exception&) {
  return 0;
}

std::size_t report_reader::drain() noexcept { return read(fair_share, false); }

void report_reader::drain_until(std::uint64_t count) noexcept try {
  if (delivered() >= count) return;
  auto& delivery = log_delivery::instance();
  while (posted_.load() < count) {
    if (drain() > 0) continue;
    if (!log_delivery::full()) break;  // they are nowhere
    if (!delivery.wait_for_room()) return;
  }
  delivery.wait_for(*channel_, std::min(count, posted_.load()));
} catch (const std::exception&) {  // no memory for a queue: nothing was ever delivered
}

void report_reader::finish() noexcept try {
  auto& delivery = log_delivery::instance();
  // The worker is dead, but a process it forked may go on writing. A pipe holds no more than this.
  const auto deadline = steady::now() + std::chrono::seconds(1);
  for (std::size_t total = 0; steady::now() < deadline;) {
    const auto got = read(fair_share, total < largest_pipe);
    if (got == 0) break;
    total += got;
  }
  {
    const std::lock_guard held(mutex_);
    if (carried_ > 0) warn(fmt::format("1 partial record of worker {}", pid_));
    carried_ = 0;
    for (const auto& cut_off : std::exchange(partials_, {})) say_partial(cut_off);
    say_drops();
    batch_.add(deliver_end_of_bars, {}, 0);
    post();
  }
  delivery.help();
  delivery.wait_for(*channel_, posted_.load());
} catch (const std::exception&) {  // no memory: what is left is lost
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
    const auto text = fmt::format("{} dropped: worker {} waited for room in its log pipe", header.lost, pid_);
    give(deliver_warning, text, header, header.lost);
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
      say_partial(*cut_off);
      give(nullptr, {}, cut_off->first);
      cut_off = partials_.erase(cut_off);
    }
  }
  if (header.position == 0 && (header.flags & fragment_header::more) == 0) return take(header, {body, bytes});
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
  take(whole.first, whole.bytes);
}

void report_reader::take(const fragment_header& header, std::string_view body) {
  bool good = false;
  switch (header.kind) {
    case report_kind::log: good = take_log(header, body); break;
    case report_kind::progress: good = take_important(header, body, is_progress_report(body), deliver_progress); break;
    case report_kind::crash: good = take_crash(header, body); break;
    case report_kind::drops: return;
  }
  if (good) return;
  garbage_ += sizeof header + body.size();
  give(nullptr, {}, header);
}

bool report_reader::take_log(const fragment_header& header, std::string_view body) {
  log_record record;
  if (!parse_log_record(body, false, record)) return false;
  keep_line(record.fields, record.name, record.text);
  if (drop(header, record.fields.level >= spdlog::level::warn)) return true;
  say_drops();
  give(deliver_log, body, header);
  return true;
}

bool report_reader::take_important(const fragment_header& header, std::string_view body, bool sound,
                                   deliver_item deliver) {
  if (sound && !drop(header, true)) give(deliver, body, header);
  return sound;
}

bool report_reader::take_crash(const fragment_header& header, std::string_view body) {
  crash_fields fields;
  if (body.size() < sizeof fields) return false;
  std::memcpy(&fields, body.data(), sizeof fields);
  const std::size_t frame_bytes = std::size_t{fields.frames} * sizeof(std::uint64_t);
  if (body.size() != sizeof fields + frame_bytes + fields.text_bytes) return false;
  crash_notice notice{fields.signal, fields.code, fields.address, header.thread, {}, {}};
  notice.frames.resize(fields.frames);
  if (frame_bytes > 0) std::memcpy(notice.frames.data(), body.data() + sizeof fields, frame_bytes);
  notice.text.assign(body.data() + sizeof fields + frame_bytes, fields.text_bytes);
  crash_ = std::move(notice);
  give(nullptr, {}, header);
  return true;
}

// Settles so many reports, unless they are those of another process than the worker.
void report_reader::give(deliver_item deliver, std::string_view body, const fragment_header& header,
                         std::uint64_t reports) {
  batch_.add(deliver, body, (header.flags & fragment_header::foreign) == 0 ? reports : 0);
}

void report_reader::warn(std::string_view text) { batch_.add(deliver_warning, text, 0); }

// Whether there is no room for a report. It is settled then, and nobody waits for it.
bool report_reader::drop(const fragment_header& header, bool important) {
  if (!log_delivery::overflows(important)) return false;
  if (header.kind == report_kind::log) ++dropped_;
  if ((header.flags & fragment_header::foreign) != 0) return true;
  posted_.fetch_add(1);
  channel_->delivered.fetch_add(1);
  return true;
}

void report_reader::say_drops() {
  if (dropped_ == 0) return;
  warn(fmt::format("{} dropped: worker {} logged more than there is room for while a log sink hangs",
                   std::exchange(dropped_, 0), pid_));
}

void report_reader::post() noexcept {
  if (batch_.items.empty()) return;
  std::uint64_t reports = 0;
  for (const auto& item : batch_.items) reports += item.reports;
  batch_.channel = channel_;
  try {
    log_delivery::instance().post(std::exchange(batch_, {}));
  } catch (const std::exception&) {  // no memory for a queue
  }
  posted_.fetch_add(reports);
}

void report_reader::say_partial(const partial& cut_off) {
  log_record record;
  if (cut_off.first.kind == report_kind::log && parse_log_record(cut_off.bytes, true, record)) {
    keep_line(record.fields, record.name, record.text);
    warn(fmt::format("1 partial record of worker {} (logger \"{}\", {} of {} bytes): {}", pid_, record.name,
                     record.text.size(), record.fields.text_bytes, record.text));
  } else {
    warn(fmt::format("1 partial record of worker {}", pid_));
  }
}

void report_reader::say_garbage() try {
  if (const auto bytes = std::exchange(garbage_, 0))
    warn(fmt::format("{} bytes of damaged reports of worker {} dropped", bytes, pid_));
} catch (const std::exception&) {  // no memory for it
}

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
  const foreign_call inside;  // the C library looks up the time zone under a lock
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
