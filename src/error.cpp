#include <lenskit/error.hpp>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <utility>

namespace lenskit {
namespace {

std::string ending(const death_report& report) {
  if (report.status.signal) {
    return fmt::format("killed by {} (signal {}{}){}",
                       ::sigabbrev_np(*report.status.signal)
                           ? fmt::format("SIG{}", ::sigabbrev_np(*report.status.signal))
                           : "an unnamed signal",
                       *report.status.signal, report.status.core_dumped ? ", core dumped" : "",
                       report.status.stopped           ? ", because it had been stopped and did not go on"
                       : report.probably_out_of_memory ? ", probably out of memory"
                                                       : "");
  }
  if (report.status.exit_code) return fmt::format("exited with code {}", *report.status.exit_code);
  return "ended in an unknown way";
}

std::string describe_death(const task_failure& failure, const death_report& report) {
  auto text = fmt::format("worker {} died in task {}: {} after {:.3f} s", failure.worker_pid, failure.index,
                          ending(report), std::chrono::duration<double>(report.elapsed).count());
  if (report.status.peak_memory > 0)
    text += fmt::format(", peak memory {:.1f} MiB", static_cast<double>(report.status.peak_memory) / (1 << 20));
  if (!report.log_tail.empty()) text += fmt::format("; its last log lines:\n  {}", fmt::join(report.log_tail, "\n  "));
  if (!failure.stack.empty()) text += fmt::format("\nstack:\n{}", failure.stack);
  return text;
}

// The failure with its type name and message filled in, for exceptions that the library itself raises for a task.
task_failure named(task_failure failure, const char* type, const std::string& message) {
  failure.type_name = type;
  failure.message = message;
  return failure;
}

std::string describe_timeout(const task_failure& failure, std::chrono::nanoseconds limit) {
  return fmt::format("task {} ran longer than the {:.3f} s allowed and its worker {} was ended", failure.index,
                     std::chrono::duration<double>(limit).count(), failure.worker_pid);
}

std::string describe_cancel(const task_failure& failure) {
  return fmt::format("task {} was cancelled: stop was requested", failure.index);
}

std::string describe_break(const std::string& why, const std::vector<std::string>& causes) {
  return causes.empty() ? why : fmt::format("{}; the last workers ended so:\n  {}", why, fmt::join(causes, "\n  "));
}

}  // namespace

worker_died::worker_died(task_failure failure, death_report report)
    : std::runtime_error(describe_death(failure, report)),
      task_error(named(std::move(failure), "lenskit::worker_died", std::runtime_error::what())),
      report_(std::make_shared<const death_report>(std::move(report))) {}

worker_died::worker_died(detail::as_told, const task_failure& failure, death_report report)
    : std::runtime_error(failure.message),
      task_error(failure),
      report_(std::make_shared<const death_report>(std::move(report))) {}

task_timeout::task_timeout(task_failure failure, std::chrono::nanoseconds limit)
    : std::runtime_error(describe_timeout(failure, limit)),
      task_error(named(std::move(failure), "lenskit::task_timeout", std::runtime_error::what())),
      limit_(limit) {}

task_timeout::task_timeout(detail::as_told, const task_failure& failure, std::chrono::nanoseconds limit)
    : std::runtime_error(failure.message), task_error(failure), limit_(limit) {}

task_cancelled::task_cancelled(task_failure failure)
    : std::runtime_error(describe_cancel(failure)),
      task_error(named(std::move(failure), "lenskit::task_cancelled", std::runtime_error::what())) {}

task_cancelled::task_cancelled(detail::as_told, const task_failure& failure)
    : std::runtime_error(failure.message), task_error(failure) {}

broken_pool::broken_pool(const std::string& why, std::vector<std::string> causes)
    : std::runtime_error(describe_break(why, causes)),
      causes_(std::make_shared<const std::vector<std::string>>(std::move(causes))) {}

no_space::no_space(std::size_t needed, std::size_t available, std::string where)
    : persist_error(
          fmt::format("cannot make room for a model: {} bytes needed, {} available in {}", needed, available, where)),
      needed_(needed),
      available_(available),
      where_(std::make_shared<const std::string>(std::move(where))) {}

}  // namespace lenskit
