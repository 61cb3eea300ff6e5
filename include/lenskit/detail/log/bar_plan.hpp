// What a bar is made with: one struct from whoever makes it, in a worker too, to the picture of it in the parent.
#pragma once

#include <lenskit/detail/log/body_reader.hpp>

#include <cstddef>
#include <optional>
#include <string>

namespace lenskit::detail {

struct bar_plan {
  std::string label{};
  std::optional<std::size_t> total{};  ///< unknown if there is none
};

/// Appends the plan to the body of a report; a long label is cut.
void put_plan(std::string& body, const bar_plan& plan);

/// Reads what `put_plan` wrote. False if it makes no sense.
[[nodiscard]] bool get_plan(body_reader& body, bar_plan& plan);

}  // namespace lenskit::detail
