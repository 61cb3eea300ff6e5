#include <lenskit/detail/engines/worker_main.hpp>
#include <lenskit/detail/log/delivery.hpp>
#include <lenskit/detail/log/report_writer.hpp>
#include <lenskit/detail/log/worker_logging.hpp>
#include <lenskit/detail/log/worker_progress.hpp>
#include <lenskit/detail/os/barrier.hpp>
#include <lenskit/detail/os/child.hpp>
#include <lenskit/detail/os/output.hpp>
#include <lenskit/detail/worker/crash_handler.hpp>
#include <lenskit/detail/worker/socket_link.hpp>
#include <lenskit/detail/worker/worker_loop.hpp>

namespace lenskit::detail {

void worker_main::run(int slot, worker_ends ends) noexcept {
  start_crash_reports();
  print_by_lines();
  journals_.keep_only(slot);
  start_worker_logging(ends.log.release());
  tell_waits(journals_.of(slot).held_up, journals_.of(slot).started_at);
  if (options_.enter_worker) options_.enter_worker(slot);
  const bool fenced = options_.fenced || !pass_barriers();
  {
    socket_link link(std::move(ends.stream));
    serve_tasks(link, *place_, journals_.of(slot), fenced);
  }
  place_.reset();  // what the worker's copy of the function holds is closed and flushed (V3)
  flush_worker_progress();
  constexpr auto moment = std::chrono::seconds(1);
  log_delivery::finish(steady::now() + moment);  // of workers of its own
  write_drops();
  leave_child(0);
}

}  // namespace lenskit::detail
