#include <lenskit/detail/engines/obituary.hpp>

#include <support/catch.hpp>

#include <cerrno>
#include <csignal>

namespace {

namespace d = lenskit::detail;

}  // namespace

TEST_CASE("users are told all that is known of how a process ended") {
  lenskit::death_report report;
  d::tell_status(report, {.signal = SIGSEGV, .core_dumped = true, .stopped = true, .peak_memory = 4096});
  CHECK(report.signal == SIGSEGV);
  CHECK_FALSE(report.exit_code);
  CHECK(report.core_dumped);
  CHECK(report.stopped);
  CHECK(report.peak_memory == 4096);
  d::tell_status(report, {.exit_code = 3});
  CHECK_FALSE(report.signal);
  CHECK(report.exit_code == 3);
}

TEST_CASE("the summary of a death names its cause") {
  d::worker_death death;
  death.pid = 77;
  CHECK(d::summary_of(death) == "worker 77: ended in an unknown way");
  death.report.exit_code = 3;
  CHECK(d::summary_of(death) == "worker 77: exit code 3");
  death.report.exit_code.reset();
  death.lost_with_spawner = true;
  CHECK(d::summary_of(death) == "worker 77: lost with the spawner of the workers");
  death.report.signal = SIGKILL;
  CHECK(d::summary_of(death) == "worker 77: signal 9");
  death.start_error = EAGAIN;
  CHECK(d::summary_of(death) == "a worker could not be forked: Resource temporarily unavailable");
}
