// Every exception the library throws on its own account, and what all exceptions of a task have in common.
#pragma once

#include <lenskit/detail/os/exit_status.hpp>

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace lenskit {
namespace detail {
/// Says of a failure's `type_name` and `message` that they are right as they are: it has crossed from another process.
struct as_told {};
}  // namespace detail

/// Where a failed task ran and how it failed: the fields behind `task_error`.
struct task_failure {
  std::size_t index = 0;  ///< position of the task in its map call; 0 for `run_sp`
  pid_t worker_pid = 0;   ///< process that ran it; the caller's own with the engines in_process and threads
  std::string type_name;  ///< demangled type of the original exception
  std::string message;    ///< what() of the original exception
  std::string stack;      ///< resolved stack of a crash, one frame a line; empty where there is none
};

/// The mix-in that every exception which crosses from a task derives from, beside a standard exception type.
///
///     try { for (auto& r : inv.map(users)) use(r); }
///     catch (const std::out_of_range& e) {
///       if (auto* where = dynamic_cast<const lenskit::task_error*>(&e)) log(where->index(), where->message());
///     }
///
/// It is not itself a `std::exception`, so that `catch (const std::exception&)` is never ambiguous. Copying does not
/// throw. Immutable, hence safe to read from several threads.
///
/// LensKit: Python attaches a remote traceback to the pickled exception; C++ has none, so the origin is in fields.
class task_error {
 public:
  virtual ~task_error() = default;
  [[nodiscard]] std::size_t index() const noexcept { return failure_->index; }
  [[nodiscard]] pid_t worker_pid() const noexcept { return failure_->worker_pid; }
  [[nodiscard]] const std::string& type_name() const noexcept { return failure_->type_name; }
  [[nodiscard]] const std::string& message() const noexcept { return failure_->message; }
  [[nodiscard]] const std::string& stack() const noexcept { return failure_->stack; }

 protected:
  explicit task_error(task_failure failure) : failure_(std::make_shared<const task_failure>(std::move(failure))) {}
  task_error(const task_error&) = default;
  task_error& operator=(const task_error&) = default;

 private:
  std::shared_ptr<const task_failure> failure_;
};

/// How a worker ended and what is known of its last moments.
struct death_report {
  detail::exit_status status{};
  bool probably_out_of_memory = false;  ///< SIGKILL that the library did not send
  std::chrono::nanoseconds elapsed{};   ///< running time of the task in hand
  std::vector<std::string> log_tail{};  ///< the last log lines of the worker, oldest first
};

/// The process that ran a task died. Costs exactly that task; the worker is replaced.
class worker_died : public std::runtime_error, public task_error {
 public:
  worker_died(task_failure failure, death_report report);
  worker_died(detail::as_told, const task_failure& failure, death_report report);
  [[nodiscard]] std::optional<int> signal() const noexcept { return report_->status.signal; }
  [[nodiscard]] std::optional<int> exit_code() const noexcept { return report_->status.exit_code; }
  [[nodiscard]] bool core_dumped() const noexcept { return report_->status.core_dumped; }
  [[nodiscard]] bool probably_out_of_memory() const noexcept { return report_->probably_out_of_memory; }
  [[nodiscard]] std::chrono::nanoseconds elapsed() const noexcept { return report_->elapsed; }
  [[nodiscard]] std::size_t peak_memory() const noexcept { return report_->status.peak_memory; }
  [[nodiscard]] bool stopped() const noexcept { return report_->status.stopped; }
  [[nodiscard]] const std::vector<std::string>& log_tail() const noexcept { return report_->log_tail; }
  /// All of it.
  [[nodiscard]] const death_report& report() const noexcept { return *report_; }

 private:
  std::shared_ptr<const death_report> report_;
};

/// A task ran longer than `task_timeout`; its worker was ended and replaced.
class task_timeout : public std::runtime_error, public task_error {
 public:
  task_timeout(task_failure failure, std::chrono::nanoseconds limit);
  task_timeout(detail::as_told, const task_failure& failure, std::chrono::nanoseconds limit);
  [[nodiscard]] std::chrono::nanoseconds limit() const noexcept { return limit_; }

 private:
  std::chrono::nanoseconds limit_;
};

/// The stop token was triggered before the task finished.
class task_cancelled : public std::runtime_error, public task_error {
 public:
  explicit task_cancelled(task_failure failure);
  task_cancelled(detail::as_told, const task_failure& failure);
};

/// A value could not be turned into bytes or back.
class serialization_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Workers keep dying with no task succeeding in between, so the pool gave up. Carries what each of the last ones
/// died of.
class broken_pool : public std::runtime_error {
 public:
  explicit broken_pool(const std::string& why, std::vector<std::string> causes = {});
  [[nodiscard]] const std::vector<std::string>& causes() const noexcept { return *causes_; }

 private:
  std::shared_ptr<const std::vector<std::string>> causes_;
};

/// A `fork_guard` kept an invoker or `run_sp` from forking; the message has its reason. Nothing was forked.
class fork_refused : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An invoker, or a range of its results, was used after `shutdown()` or after it was moved from, or in another process
/// than it was made in.
class invoker_closed : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// A model could not be persisted, mapped or handed over.
class persist_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// There is not enough room for a model: says how much was needed, how much there is and where.
class no_space : public persist_error {
 public:
  no_space(std::size_t needed, std::size_t available, std::string where);
  [[nodiscard]] std::size_t needed() const noexcept { return needed_; }        ///< bytes
  [[nodiscard]] std::size_t available() const noexcept { return available_; }  ///< bytes
  [[nodiscard]] const std::string& where() const noexcept { return *where_; }

 private:
  std::size_t needed_;
  std::size_t available_;
  std::shared_ptr<const std::string> where_;
};

/// A setting has a value that makes no sense; names the variable, or the file and line, and the value.
class settings_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// All that is known of an exception, in lines for a reader: type, message, task and worker, how the worker ended
/// (signal or exit code, running time, memory), stack, last log lines, causes of a broken pool; then the same of each
/// exception that it was thrown in answer to.
///
///     int main() try { ... } catch (...) { std::cerr << lenskit::describe(std::current_exception()); return 1; }
///
/// Takes anything that can be thrown, and null. Ends in a line break. Throws std::bad_alloc only, does not block, safe
/// in any thread.
///
/// LensKit: a traceback that Python prints by itself.
[[nodiscard]] std::string describe(const std::exception_ptr& thrown);

}  // namespace lenskit
