#include <lenskit/detail/log/delivery.hpp>
#include <lenskit/detail/log/foreign_call.hpp>
#include <lenskit/detail/log/progress_board.hpp>
#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/os/system.hpp>

#include <spdlog/details/console_globals.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <thread>

namespace lenskit::detail {
namespace {

constexpr std::int64_t shortest_interval = 100'000'000;  // ns
constexpr std::int64_t longest_silence = 10'000'000'000;
constexpr std::size_t most_lines = 8;

std::string_view variable(const char* name) noexcept {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

bool can_draw() noexcept {
  const auto term = variable("TERM");
  return sys::is_terminal(sys::standard_error) && !term.empty() && term != "dumb";
}

bool speaks_unicode() noexcept {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"})
    if (const auto value = variable(name); !value.empty())
      return value.find("UTF-8") != value.npos || value.find("utf8") != value.npos;
  return false;
}

bar_style style_now() noexcept {
  const int columns = sys::terminal_columns(sys::standard_error);
  return {columns > 0 ? columns : 80, speaks_unicode(), variable("NO_COLOR").empty()};
}

// A terminal that takes nothing more is not worth a wait.
void write_to_terminal(std::string_view text) noexcept {
  while (!text.empty()) {
    const auto moved = sys::retry([&] { return sys::write(sys::standard_error, text.data(), text.size()); });
    if (moved <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(moved));
  }
}

std::unique_lock<std::mutex> console_within(std::chrono::milliseconds limit) {
  std::unique_lock held(spdlog::details::console_mutex::mutex(), std::try_to_lock);
  for (const auto deadline = steady::now() + limit; !held && steady::now() < deadline;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    static_cast<void>(held.try_lock());
  }
  return held;
}

}  // namespace

progress_board& progress_board::instance() {
  // Never destroyed: bars and sinks may be, after static objects. Not on the heap, which may be full (A1).
  alignas(progress_board) static std::array<std::byte, sizeof(progress_board)> place;
  static auto* board = ::new (place.data()) progress_board;
  return *board;
}

bool progress_board::in_forked_copy() const noexcept { return owner_.load() != sys::getpid(); }

void progress_board::add(bar& which) {
  std::unique_lock held(mutex_);
  if (bars_.empty()) {
    owner_ = sys::getpid();
    on_terminal_ = can_draw();
  }
  bars_.push_back(&which);
  n_bars_ = bars_.size();
  held.unlock();
  if (on_terminal_) log_delivery::instance().start();
}

void progress_board::changed(bar& which) noexcept try {
  if (on_terminal_.load(std::memory_order_relaxed)) {
    if (claim_redraw(shortest_interval) && !in_forked_copy()) refresh();
  } else if (which.plain_line_due() && !in_forked_copy()) {
    log_bar(which);
  }
} catch (...) {  // no memory for a picture
}

void progress_board::remove(bar& which) noexcept {
  if (in_forked_copy()) return;
  try {
    // A worker may make a bar in each task: only long ones are worth a line.
    const bool lasting = which.via() == 0 || which.age() >= longest_silence;
    if (on_terminal_)
      draw_end_of(which);
    else if (lasting)
      log_bar(which);
  } catch (...) {  // no memory for a picture
  }
  const std::lock_guard held(mutex_);
  std::erase(bars_, &which);
  n_bars_ = bars_.size();
}

void progress_board::apply(const progress_report& report) {
  std::shared_ptr<bar> remote;
  std::unique_lock held(mutex_);
  const auto listed =
      std::find_if(bars_.begin(), bars_.end(), [&](const bar* each) { return each->id() == report.id; });
  bar* target = listed != bars_.end() ? *listed : nullptr;
  if (target == nullptr) {
    // A bar of this process that has ended, or one of a worker that came and went between two reports.
    if (report.finished || process_of(report.id) == static_cast<std::uint32_t>(sys::getpid())) return;
    held.unlock();
    remote = std::make_shared<bar>(report.plan, report.id, report.via);
    held.lock();
    remote_[report.id] = remote;
    target = remote.get();
  }
  // A listed bar cannot go away before it is struck from the list, which takes the lock.
  for (const auto& [state, change] : report.changes) target->progress::update(static_cast<int>(change), state, {});
  std::string line;
  if (!on_terminal_ && target->plain_line_due()) line = plain_line(view_of(*target));
  if (report.finished)
    if (const auto found = remote_.find(report.id); found != remote_.end()) {
      remote = std::move(found->second);
      remote_.erase(found);
    }
  held.unlock();
  if (!line.empty()) log_delivery::say(severity::info, line);
  if (report.finished && remote) remote->finish();
  if (on_terminal_ && claim_redraw(shortest_interval)) refresh();
}

void progress_board::close_bars_of(pid_t worker) noexcept {
  for (;;) {
    std::shared_ptr<bar> gone;
    {
      const std::lock_guard held(mutex_);
      const auto found =
          std::find_if(remote_.begin(), remote_.end(), [&](const auto& each) { return each.second->via() == worker; });
      if (found == remote_.end()) return;
      gone = std::move(found->second);
      remote_.erase(found);
    }
    gone->finish();
  }
}

int progress_board::redraw_if_due() noexcept try {
  if (n_bars_ == 0 || !on_terminal_ || in_forked_copy()) return -1;
  constexpr std::int64_t idle_interval = 1'000'000'000;  // the elapsed time goes on
  const auto interval = hidden_ ? shortest_interval : idle_interval;
  if (claim_redraw(interval)) refresh();
  return static_cast<int>((hidden_ ? shortest_interval : idle_interval) / 1'000'000);
} catch (...) {
  return -1;
}

bool progress_board::claim_redraw(std::int64_t interval) noexcept {
  const auto now = now_ns();
  auto last = last_redraw_.load(std::memory_order_relaxed);
  return now - last >= interval && last_redraw_.compare_exchange_strong(last, now);
}

void progress_board::refresh() {
  const foreign_call inside;
  const auto sinks = terminal_sinks();
  const std::unique_lock console(spdlog::details::console_mutex::mutex(), std::try_to_lock);
  if (!console) return;  // a log line is being written: the next update will do
  attach(*this, sinks);
  std::string text = before_line();
  {
    const std::lock_guard held(mutex_);
    text += all_lines();
  }
  write_to_terminal(text);
}

void progress_board::draw_end_of(bar& which) {
  const foreign_call inside;
  const auto sinks = terminal_sinks();
  const auto console = console_within(std::chrono::seconds(1));
  if (!console) return;
  auto text = before_line();
  bool last = false;
  {
    const std::lock_guard held(mutex_);
    if (which.via() == 0) text += bar_line(end_view_of(which), style_now()) + '\n';
    std::erase(bars_, &which);
    last = bars_.empty();
    text += all_lines();
  }
  if (last) detach(sinks);
  write_to_terminal(text);
}

void progress_board::log_bar(bar& which) {
  std::unique_lock held(mutex_);
  const auto line = plain_line(which.is_finished() ? end_view_of(which) : view_of(which));
  held.unlock();
  log_delivery::say(severity::info, line);
  log_delivery::wait_for_all();
}

bar_view progress_board::view_of(bar& which) {
  auto states = which.counts();
  std::erase_if(states, [](const auto& each) { return each.first == progress::finished_state; });
  return {which.plan(), which.count(), std::move(states), static_cast<double>(which.age()) / 1e9, which.rate()};
}

bar_view progress_board::end_view_of(bar& which) {
  auto view = view_of(which);
  view.rate = static_cast<double>(view.done) / std::max(view.seconds, 1e-9);
  return view;
}

std::string progress_board::all_lines() {
  const auto style = style_now();
  std::string text;
  lines_drawn_ = 0;
  for (auto* each : bars_) {
    if (lines_drawn_ > 0) text += '\n';
    if (++lines_drawn_ == most_lines && bars_.size() > most_lines) {
      text += "... and " + std::to_string(bars_.size() - most_lines + 1) + " more";
      break;
    }
    text += bar_line(view_of(*each), style);
  }
  hidden_ = false;
  return text;
}

std::string progress_board::before_line() {
  const std::lock_guard held(mutex_);
  auto text = erase_lines(lines_drawn_);
  hidden_ = lines_drawn_ > 0;
  lines_drawn_ = 0;
  return text;
}

std::string progress_board::after_line() {
  if (!on_terminal_ || n_bars_ == 0 || !claim_redraw(shortest_interval)) return {};
  const std::lock_guard held(mutex_);
  return all_lines();
}

}  // namespace lenskit::detail
