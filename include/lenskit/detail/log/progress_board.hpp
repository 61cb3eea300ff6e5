// All the bars of this process, and the bottom lines of the terminal they are drawn on.
#pragma once

#include <lenskit/detail/log/bar.hpp>
#include <lenskit/detail/log/bar_text.hpp>
#include <lenskit/detail/log/console_lines.hpp>

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lenskit::detail {

/// What a worker reports of one of its bars.
struct progress_report {
  bar_id id{};
  bar_plan plan{};
  std::vector<std::pair<std::string_view, std::int64_t>> changes{};
  bool finished = false;
  pid_t via = 0;
};

/// Draws the bars when they change, at most ten times a second, and never while a console sink of spdlog is writing:
/// both hold spdlog's console mutex. That mutex comes before the board's own.
class progress_board : private console_lines {
 public:
  static progress_board& instance();

  void add(bar& which);
  void changed(bar& which) noexcept;
  void remove(bar& which) noexcept;
  void apply(const progress_report& report);
  void close_bars_of(pid_t worker) noexcept;

  /// For the delivery thread: brings back bars that a log line has hidden. The milliseconds until it should be called
  /// again; -1 if there is nothing to draw.
  int redraw_if_due() noexcept;

 private:
  progress_board() = default;

  void refresh();
  void draw_end_of(bar& which);
  void log_bar(bar& which);
  [[nodiscard]] std::string all_lines();
  [[nodiscard]] static bar_view view_of(bar& which);
  [[nodiscard]] static bar_view end_view_of(bar& which);  // with the rate over the whole time
  [[nodiscard]] bool in_forked_copy() const noexcept;
  bool claim_redraw(std::int64_t interval) noexcept;

  std::string before_line() override;
  std::string after_line() override;

  std::mutex mutex_;
  std::vector<bar*> bars_{};
  std::map<bar_id, std::shared_ptr<bar>> remote_{};
  std::size_t lines_drawn_ = 0;
  std::atomic<bool> on_terminal_{false};
  std::atomic<bool> hidden_{false};
  std::atomic<std::size_t> n_bars_{0};
  std::atomic<std::int64_t> last_redraw_{0};
  std::atomic<pid_t> owner_{0};
};

}  // namespace lenskit::detail
