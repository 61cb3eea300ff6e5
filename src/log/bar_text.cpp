#include <lenskit/detail/log/bar_text.hpp>
#include <lenskit/detail/log/text_width.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace lenskit::detail {
namespace {

std::string duration(double seconds) {
  constexpr double longest = 99 * 3600.0;
  if (!std::isfinite(seconds) || seconds > longest) return "--:--";
  const auto whole = std::lround(std::max(seconds, 0.0));
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{:02}:{:02}", whole / 60, whole % 60);
}

std::string rate_text(double rate) {
  if (rate >= 1e6) return fmt::format("{:.2f}M/s", rate / 1e6);
  if (rate >= 1e4) return fmt::format("{:.1f}k/s", rate / 1e3);
  if (rate >= 100 || rate == 0) return fmt::format("{:.0f}/s", rate);
  return fmt::format("{:.3g}/s", rate);
}

std::string states_text(const bar_view& view) {
  std::string text;
  for (const auto& [state, count] : view.others)
    if (count > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, printable_text(state));
  return text;
}

double fraction(const bar_view& view) noexcept {
  if (!view.plan.total) return 0;
  if (*view.plan.total == 0) return 1;
  return std::clamp(static_cast<double>(view.done) / static_cast<double>(*view.plan.total), 0.0, 1.0);
}

double seconds_left(const bar_view& view) noexcept {
  return (static_cast<double>(*view.plan.total) - static_cast<double>(view.done)) / view.rate;
}

std::string gauge(double part, std::size_t cells, bool unicode) {
  static constexpr std::string_view eighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const double filled = part * static_cast<double>(cells);
  const auto full = std::min(static_cast<std::size_t>(filled), cells);
  std::string text;
  for (std::size_t i = 0; i < full; ++i) text += unicode ? "█" : "#";
  if (full == cells) return text;
  const auto eighth = static_cast<std::size_t>((filled - static_cast<double>(full)) * 8);
  text += unicode ? eighths[std::min<std::size_t>(eighth, 7)] : " ";
  text.append(cells - full - 1, ' ');
  return text;
}

}  // namespace

std::string bar_line(const bar_view& view, const bar_style& style) {
  const auto columns = static_cast<std::size_t>(std::max(style.columns, 2)) - 1;
  const auto label = view.plan.label.empty() ? std::string() : printable_text(view.plan.label) + ": ";
  auto states = states_text(view);
  if (!states.empty()) states.insert(0, 1, ' ');
  const bool at_end = view.plan.total && view.done >= static_cast<std::int64_t>(*view.plan.total);
  if (!view.plan.total) {
    const auto text =
        fmt::format("{}{} [{}, {}]{}", label, view.done, duration(view.seconds), rate_text(view.rate), states);
    return std::string(clipped_text(text, columns));
  }
  const auto head = fmt::format("{}{:3.0f}%", label, std::floor(fraction(view) * 100));
  const auto left = at_end ? duration(0) : view.rate > 0 ? duration(seconds_left(view)) : "--:--";
  const auto tail = fmt::format(" {}/{} [{}<{}, {}]{}", view.done, *view.plan.total, duration(view.seconds), left,
                                rate_text(view.rate), states);
  constexpr std::size_t longest_gauge = 30;
  constexpr std::size_t shortest_gauge = 4;
  const auto taken = text_width(head) + text_width(tail) + 2;
  if (taken + shortest_gauge > columns) return std::string(clipped_text(head + tail, columns));
  const auto cells = std::min(columns - taken, longest_gauge);
  const auto green = style.color ? "\x1b[32m" : "";
  const auto plain = style.color ? "\x1b[m" : "";
  return fmt::format("{}|{}{}{}|{}", head, green, gauge(fraction(view), cells, style.unicode), plain, tail);
}

std::string plain_line(const bar_view& view) {
  auto text = view.plan.label.empty() ? std::string() : printable_text(view.plan.label) + ": ";
  text += fmt::format("{}", view.done);
  if (view.plan.total) text += fmt::format(" of {} ({:.0f}%)", *view.plan.total, std::floor(fraction(view) * 100));
  text += fmt::format(" in {:.{}f} s, {}", view.seconds, view.seconds < 10 ? 1 : 0, rate_text(view.rate));
  if (view.plan.total && view.rate > 0 && view.done < static_cast<std::int64_t>(*view.plan.total))
    text += fmt::format(", {:.0f} s left", seconds_left(view));
  if (const auto states = states_text(view); !states.empty()) text += "; " + states;
  return text;
}

std::string erase_lines(std::size_t lines) {
  if (lines == 0) return {};
  std::string text = "\r\x1b[2K";
  for (std::size_t i = 1; i < lines; ++i) text += "\x1b[1A\x1b[2K";
  return text;
}

}  // namespace lenskit::detail
