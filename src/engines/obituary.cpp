#include <lenskit/detail/engines/obituary.hpp>

#include <fmt/format.h>

#include <cstring>

namespace lenskit::detail {

void tell_status(death_report& report, const exit_status& status) {
  report.signal = status.signal;
  report.exit_code = status.exit_code;
  report.core_dumped = status.core_dumped;
  report.stopped = status.stopped;
  report.peak_memory = status.peak_memory;
}

std::string summary_of(const worker_death& death) {
  const auto& report = death.report;
  if (death.start_error != 0) return fmt::format("a worker could not be forked: {}", std::strerror(death.start_error));
  if (report.signal) return fmt::format("worker {}: signal {}", death.pid, *report.signal);
  if (death.lost_with_spawner) return fmt::format("worker {}: lost with the spawner of the workers", death.pid);
  if (report.exit_code) return fmt::format("worker {}: exit code {}", death.pid, *report.exit_code);
  return fmt::format("worker {}: ended in an unknown way", death.pid);
}

}  // namespace lenskit::detail
