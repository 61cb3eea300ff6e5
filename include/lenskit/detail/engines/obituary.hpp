// What is said of a worker that has died.
#pragma once

#include <lenskit/detail/dispatch/engine.hpp>
#include <lenskit/detail/os/process.hpp>
#include <lenskit/error.hpp>

#include <string>

namespace lenskit::detail {

/// How the process ended, as users are told.
void tell_status(death_report& report, const exit_status& status);
/// One line for a message.
[[nodiscard]] std::string summary_of(const worker_death& death);

}  // namespace lenskit::detail
