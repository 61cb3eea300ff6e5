// What a bar is made with: one struct from whoever makes it, in a worker too, to the picture of it in the parent.
#pragma once

#include <lenskit/detail/log/body_reader.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <utility>

namespace lenskit::detail {

struct bar_plan {
  // Not an aggregate: GCC 12 takes the string of one in a view for uninitialised.
  bar_plan() = default;
  bar_plan(std::string label_, std::optional<std::size_t> total_) : label(std::move(label_)), total(total_) {}

  std::string label{};
  std::optional<std::size_t> total{};  ///< unknown if there is none
};

/// Appends the plan to the body of a report; a long label is cut.
void put_plan(std::string& body, const bar_plan& plan);

/// Reads what `put_plan` wrote. False if it makes no sense.
[[nodiscard]] bool get_plan(body_reader& body, bar_plan& plan);

}  // namespace lenskit::detail
