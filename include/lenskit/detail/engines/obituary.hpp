// What is said of a worker that has died.
#pragma once

#include <lenskit/detail/dispatch/engine.hpp>

#include <string>

namespace lenskit::detail {

/// One line for a message.
[[nodiscard]] std::string summary_of(const worker_death& death);

}  // namespace lenskit::detail
