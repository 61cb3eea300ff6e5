#include <lenskit/detail/engines/table.hpp>
#include <lenskit/detail/log/delivery.hpp>
#include <lenskit/detail/os/cancel_shield.hpp>
#include <lenskit/detail/os/crew.hpp>
#include <lenskit/detail/os/environment.hpp>
#include <lenskit/detail/os/process.hpp>
#include <lenskit/detail/os/static_backends.hpp>
#include <lenskit/detail/os/worker_state.hpp>
#include <lenskit/invoker.hpp>
#include <lenskit/proc_count.hpp>
#include <lenskit/worker.hpp>

#include <fmt/format.h>

#include <atomic>
#include <stdexcept>

namespace lenskit::detail {
namespace {

constexpr int default_most_workers = 4;  // LensKit's

lenskit::engine choose_engine(const invoker_options& options, int n_jobs) {
  if (options.engine != lenskit::engine::automatic) return options.engine;
  const bool takes_processes = options.task_timeout || options.max_retries > 0;
  return n_jobs == 1 && !takes_processes ? lenskit::engine::in_process : lenskit::engine::processes;
}

int choose_n_jobs(const invoker_options& options) {
  if (options.n_jobs) return *options.n_jobs;
  if (is_worker() && options.engine == lenskit::engine::automatic) return 1;  // the machine is busy with our siblings
  return proc_count({.max_default = default_most_workers});
}

void check(const invoker_options& options) {
  if (options.n_jobs && *options.n_jobs < 1) {
    throw std::invalid_argument(fmt::format("n_jobs is {}, expected at least 1", *options.n_jobs));
  }
  if (options.max_retries < 0) {
    throw std::invalid_argument(fmt::format("max_retries is {}, expected at least 0", options.max_retries));
  }
  if (options.task_timeout && options.task_timeout->count() <= 0) {
    throw std::invalid_argument(
        fmt::format("task_timeout is {} ns, expected more than 0", options.task_timeout->count()));
  }
}

// Its threads in workers are as many as in the program, for each worker (V4).
void warn_of_static_backend() {
  static constinit std::atomic<bool> warned{false};
  const char* const name = static_backend();
  if (name == nullptr || environment_variable("OPENBLAS_NUM_THREADS") || environment_variable("MKL_NUM_THREADS") ||
      environment_variable("BLIS_NUM_THREADS") || warned.exchange(true))
    return;
  log_delivery::say(severity::warning,
                    fmt::format("{0} is linked into this program statically, so that its threads cannot be limited in "
                                "workers: link it as a shared library, or set the variable of its number of threads",
                                name));
}

}  // namespace

void refuse_job_count(const std::string& count) {
  throw std::invalid_argument(fmt::format("n_jobs is {}, expected an int", count));
}

pool_plan plan_pool(const invoker_options& options) {
  check(options);
  ensure_settings();  // and leaves the threads of this process's own backends as they are (failure V4)
  pool_plan plan;
  plan.n_jobs = choose_n_jobs(options);
  plan.engine = choose_engine(options, plan.n_jobs);
  const auto& row = row_of(plan.engine);
  if (row.has_one_worker) plan.n_jobs = 1;
  plan.stores_model = row.isolates;
  if (options.task_timeout && !row.stops_tasks) {
    throw std::invalid_argument(fmt::format("task_timeout needs engine {}, which can stop a task; engine {} cannot",
                                            engine_names([](const engine_row& each) { return each.stops_tasks; }),
                                            row.name));
  }
  plan.worker_settings = options.worker_parallel.value_or(worker_settings(plan.n_jobs));
  plan.worker_settings.resolve_defaults();
  return plan;
}

std::shared_ptr<dispatcher> start_pool(const pool_plan& plan, const invoker_options& options,
                                       std::shared_ptr<workplace> place) {
  const cancel_shield shield;
  const auto& row = row_of(plan.engine);
  if (row.isolates) warn_of_static_backend();
  engine_start with{std::move(place), plan.n_jobs, options.task_timeout.has_value()};
  // Each that wakes would displace another: every such switch is work that nobody asked for.
  const bool crowded = plan.n_jobs > static_cast<int>(usable_processors());
  with.enter_worker = [settings = plan.worker_settings, crowded](int index) {
    if (crowded) schedule_as_batch();
    enter_role(process_role::pool_worker, index);
    apply_worker_threads(settings);
  };
  dispatch_options how;
  how.task_timeout = options.task_timeout;
  how.max_retries = options.max_retries;
  how.stop_token = options.stop_token;
  return std::make_shared<dispatcher>(row.start(std::move(with)), std::move(how));
}

call_plan next_call(body_id body, result_order order) { return {body, order, next_call_seed()}; }

}  // namespace lenskit::detail
