// How a bar looks: numbers to text, and nothing else.
#pragma once

#include <lenskit/detail/log/bar_plan.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lenskit::detail {

/// What is shown of a bar.
struct bar_view {
  bar_plan plan;
  std::int64_t done = 0;
  std::vector<std::pair<std::string, std::int64_t>> others{};  ///< states but the finished one
  double seconds = 0;                                          ///< since the start
  double rate = 0;                                             ///< items per second
};

struct bar_style {
  int columns = 80;
  bool unicode = false;
  bool color = false;
};

/// One line of at most `columns - 1` columns, colours aside: "label:  45%|###   | 450/1000 [00:03<00:04, 120/s] ...".
[[nodiscard]] std::string bar_line(const bar_view& view, const bar_style& style);

/// The same for a log: "label: 450 of 1000 (45%) in 3 s, 120/s, 4 s left; 12 dispatched".
[[nodiscard]] std::string plain_line(const bar_view& view);

/// What clears `lines` lines above and at the cursor, which ends up at the beginning of the first of them.
[[nodiscard]] std::string erase_lines(std::size_t lines);

}  // namespace lenskit::detail
