#include <lenskit/detail/engines/obituary.hpp>

#include <fmt/format.h>

#include <cstring>

namespace lenskit::detail {

std::string summary_of(const worker_death& death) {
  const auto& status = death.report.status;
  if (death.start_error != 0) return fmt::format("a worker could not be forked: {}", std::strerror(death.start_error));
  if (status.signal) return fmt::format("worker {}: signal {}", death.pid, *status.signal);
  if (death.lost_with_spawner) return fmt::format("worker {}: lost with the spawner of the workers", death.pid);
  if (status.exit_code) return fmt::format("worker {}: exit code {}", death.pid, *status.exit_code);
  return fmt::format("worker {}: ended in an unknown way", death.pid);
}

}  // namespace lenskit::detail
