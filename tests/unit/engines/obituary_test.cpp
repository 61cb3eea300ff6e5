#include <lenskit/detail/engines/obituary.hpp>

#include <support/catch.hpp>

#include <cerrno>
#include <csignal>

namespace {

namespace d = lenskit::detail;

}  // namespace

TEST_CASE("the summary of a death names its cause") {
  d::worker_death death;
  death.pid = 77;
  CHECK(d::summary_of(death) == "worker 77: ended in an unknown way");
  death.report.status.exit_code = 3;
  CHECK(d::summary_of(death) == "worker 77: exit code 3");
  death.report.status.exit_code.reset();
  death.lost_with_spawner = true;
  CHECK(d::summary_of(death) == "worker 77: lost with the spawner of the workers");
  death.report.status.signal = SIGKILL;
  CHECK(d::summary_of(death) == "worker 77: signal 9");
  death.start_error = EAGAIN;
  CHECK(d::summary_of(death) == "a worker could not be forked: Resource temporarily unavailable");
}
