#include <lenskit/detail/log/report_writer.hpp>
#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/os/system.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>

namespace lenskit::detail {

bool reports_are_foreign = false;

namespace {

// All of it plain atomics, initialised before the program starts: a signal handler finds it whole.
std::atomic<int> pipe_end{-1};
std::atomic<std::uint64_t> reports_begun{0};
std::atomic<std::uint32_t> dropped{0};     // since the last report that got through
std::atomic<std::int64_t> stuck_since{0};  // 0 while there is room
std::atomic<std::uint32_t> process_id{0};
std::atomic<std::uint32_t> forks_noted{1};  // makes cached thread numbers invalid

// Who is told that a thread waits for the reader.
struct wait_listener {
  std::atomic<std::uint32_t>* waiting = nullptr;
  std::atomic<std::int64_t>* started_at = nullptr;
  std::uint32_t thread = 0;
};
constinit wait_listener listener;  // written while the process has one thread

struct cached_thread {
  std::uint32_t forks;
  std::uint32_t number;
};
thread_local constinit cached_thread cached{0, 0};

// The worker's own children write to the same pipe with a copy of its counter.
void note_fork() {
  forks_noted.fetch_add(1, std::memory_order_relaxed);
  process_id.store(static_cast<std::uint32_t>(sys::getpid()), std::memory_order_relaxed);
  reports_are_foreign = true;
  listener = {};
  dropped.store(0, std::memory_order_relaxed);  // the worker itself tells about its own
}

std::int64_t limit_of(patience wait) noexcept {
  constexpr std::int64_t second = 1'000'000'000;
  switch (wait) {
    case patience::none: return 0;
    case patience::brief: return second;
    case patience::full: return 10 * second;
  }
  return 0;
}

// Waits until the pipe may have room. False once it has been full for too long.
bool wait_for_room(int fd, patience wait) noexcept {
  if (wait == patience::none) return false;
  const auto now = now_ns();
  std::int64_t since = 0;
  if (stuck_since.compare_exchange_strong(since, now)) since = now;
  const auto left = since + limit_of(wait) - now;
  if (left <= 0) return false;
  pollfd room{fd, POLLOUT, 0};
  constexpr std::int64_t slice = 100'000'000;  // another thread may be the one that notices that there is room again
  const auto timeout = static_cast<int>(std::min(left, slice) / 1'000'000 + 1);
  if (listener.thread != current_thread()) {
    sys::poll(&room, 1, timeout);
    return true;
  }
  listener.waiting->store(1, std::memory_order_release);
  sys::poll(&room, 1, timeout);
  // Time first: who sees no wait must not see the old start.
  if (const auto start = listener.started_at->load(std::memory_order_relaxed); start != 0)
    listener.started_at->store(start + (now_ns() - now), std::memory_order_release);
  listener.waiting->store(0, std::memory_order_release);
  return true;
}

bool send(const std::byte* fragment, std::size_t bytes, patience wait) noexcept {
  const int fd = pipe_end.load(std::memory_order_relaxed);
  if (fd < 0) return false;
  while (bytes > 0) {
    const auto moved = sys::write(fd, fragment, bytes);
    if (moved > 0) {
      // The kernel moves a fragment as a whole; only a test makes it do less.
      fragment += moved;
      bytes -= static_cast<std::size_t>(moved);
      if (stuck_since.load(std::memory_order_relaxed) != 0) stuck_since.store(0, std::memory_order_relaxed);
    } else if (errno == EAGAIN) {
      if (!wait_for_room(fd, wait)) return false;
    } else if (errno != EINTR) {
      return false;  // nobody reads any more
    }
  }
  return true;
}

// A report on its way out: fills fragments and sends each as it gets full.
class outgoing {
 public:
  outgoing(report_kind kind, std::uint64_t number, patience wait) noexcept : wait_(wait) {
    header_.magic = fragment_header::mark;
    header_.report = number;
    header_.process = current_process();
    header_.thread = current_thread();
    header_.kind = kind;
    if (dropped.load(std::memory_order_relaxed) > 0) header_.lost = dropped.exchange(0);
  }

  bool add(report_part part) noexcept {
    const auto* from = static_cast<const std::byte*>(part.data);
    while (part.bytes > 0) {
      if (used_ == max_fragment && !ship(fragment_header::more)) return false;
      const auto some = std::min(part.bytes, max_fragment - used_);
      std::memcpy(buffer_ + used_, from, some);
      used_ += some;
      from += some;
      part.bytes -= some;
    }
    return true;
  }

  bool finish() noexcept { return ship(0); }

  /// Counts the report as dropped, unless the reader has seen some of it: then it notices that the tail is missing.
  void drop(bool counts) noexcept {
    if (header_.position == 0 && (header_.lost > 0 || counts)) dropped.fetch_add(header_.lost + (counts ? 1 : 0));
  }

 private:
  bool ship(std::uint8_t flags) noexcept {
    header_.bytes = static_cast<std::uint16_t>(used_);
    header_.flags = flags;
    if (reports_for_another()) header_.flags |= fragment_header::foreign;
    std::memcpy(buffer_, &header_, sizeof header_);
    header_.check = report_check(buffer_ + sizeof header_.check, used_ - sizeof header_.check);
    std::memcpy(buffer_, &header_.check, sizeof header_.check);
    if (!send(buffer_, used_, wait_)) return false;
    ++header_.position;
    header_.lost = 0;
    used_ = sizeof header_;
    wait_ = patience::full;  // half a report is worth less than a wait
    return true;
  }

  patience wait_;
  fragment_header header_{};
  std::size_t used_ = sizeof(fragment_header);
  std::byte buffer_[max_fragment];  // not initialised: this is the hot path
};

}  // namespace

void start_reports(int pipe_fd) noexcept {
  static std::atomic<bool> registered{false};
  if (!registered.exchange(true)) sys::at_fork_in_child(note_fork);
  forks_noted.fetch_add(1);
  process_id.store(static_cast<std::uint32_t>(sys::getpid()));
  reports_are_foreign = false;
  listener = {};
  reports_begun.store(0);
  dropped.store(0);
  stuck_since.store(0);
  pipe_end.store(pipe_fd);
  const int flags = sys::fcntl(pipe_fd, F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK) == 0) sys::fcntl(pipe_fd, F_SETFL, flags | O_NONBLOCK);
}

void tell_waits(std::atomic<std::uint32_t>& waiting, std::atomic<std::int64_t>& started_at) noexcept {
  listener = {&waiting, &started_at, current_thread()};
}

bool reports_started() noexcept { return pipe_end.load(std::memory_order_relaxed) >= 0; }

bool write_report(report_kind kind, patience wait, std::initializer_list<report_part> parts) noexcept {
  const int saved_errno = errno;
  outgoing report(kind, reports_begun.fetch_add(1, std::memory_order_relaxed) + 1, wait);
  bool whole = true;
  for (const auto& part : parts) whole = whole && report.add(part);
  whole = whole && report.finish();
  if (!whole) report.drop(true);
  errno = saved_errno;
  return whole;
}

void write_drops() noexcept {
  if (dropped.load(std::memory_order_relaxed) == 0) return;
  const int saved_errno = errno;
  outgoing notice(report_kind::drops, 0, patience::none);
  if (!notice.finish()) notice.drop(false);
  errno = saved_errno;
}

std::uint64_t reports_written() noexcept { return reports_begun.load(std::memory_order_relaxed); }

void write_crash_report(int signal, int code, const void* address, void* const* frames, std::size_t n_frames,
                        std::string_view text) noexcept {
  constexpr std::size_t max_frames = 256;
  constexpr std::size_t max_text = 1024;  // so that all of it is one fragment, written or not
  n_frames = std::min(n_frames, max_frames);
  text = text.substr(0, max_text);
  crash_fields fields{};
  fields.signal = signal;
  fields.code = code;
  fields.address = reinterpret_cast<std::uintptr_t>(address);
  fields.frames = static_cast<std::uint32_t>(n_frames);
  fields.text_bytes = static_cast<std::uint32_t>(text.size());
  static_assert(sizeof(fragment_header) + sizeof(crash_fields) + max_frames * sizeof(void*) + max_text <= max_fragment);
  write_report(report_kind::crash, patience::brief,
               {{&fields, sizeof fields}, {frames, n_frames * sizeof(void*)}, {text.data(), text.size()}});
}

std::uint32_t current_thread() noexcept {
  const auto now = forks_noted.load(std::memory_order_relaxed);
  if (cached.forks != now) cached = {now, static_cast<std::uint32_t>(sys::gettid())};
  return cached.number;
}

std::uint32_t current_process() noexcept {
  const auto known = process_id.load(std::memory_order_relaxed);
  return known != 0 ? known : static_cast<std::uint32_t>(sys::getpid());
}

}  // namespace lenskit::detail
