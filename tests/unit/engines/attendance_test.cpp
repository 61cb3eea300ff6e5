#include <lenskit/detail/engines/attendance.hpp>
#include <lenskit/detail/log/report_writer.hpp>
#include <lenskit/detail/os/channel.hpp>

#include <support/catch.hpp>
#include <support/reporting_child.hpp>

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace lenskit::detail;
using namespace lenskit::tests;
using namespace std::chrono_literals;

constexpr auto now = steady::time_point{};

bool wants_attention(const attendance& all) {
  pollfd asked{all.fd(), POLLIN, 0};
  return sys::poll(&asked, 1, 0) > 0;
}

// The report pipe of a worker, of which the test holds both ends.
struct worker_log {
  worker_log() : ends(make_pipe()) {
    reader = std::make_shared<report_reader>(std::move(ends.first), 1);
    reader->belongs_to(4711);
  }
  void say(const std::string& bytes) const { REQUIRE(sys::write(ends.second.get(), bytes.data(), bytes.size()) > 0); }
  descriptor_pair ends;
  std::shared_ptr<report_reader> reader;
};

}  // namespace

TEST_CASE("the attendant comes back when it is interrupted, or its bell rings, and not before") {
  attendance all(1);
  CHECK_FALSE(wants_attention(all));
  CHECK_FALSE(all.drain(now));
  SECTION("an interruption, which is taken once") {
    all.interrupt();
    CHECK(wants_attention(all));
    CHECK(all.drain(steady::time_point::max()));
    CHECK_FALSE(wants_attention(all));
    all.interrupt();
    all.attend();
  }
  SECTION("its bell, once") {
    all.ring_in(1ns);
    CHECK(all.drain(steady::time_point::max()));
    CHECK_FALSE(all.drain(now));
    all.ring_in(1ms);
    all.attend();
  }
  CHECK_FALSE(wants_attention(all));
}

TEST_CASE("what a worker logs is passed on, and is no reason for the attendant to come back", "[no_tsan]") {
  fresh_loggers loggers;
  attendance all(2);
  worker_log one;
  const pid_t worker = with_loggers_quiet([] { return sys::fork(); });
  if (worker == 0) {
    start_worker_logging(one.ends.second.release());
    spdlog::default_logger()->warn("from a worker");
    write_drops();
    ::_exit(0);
  }
  REQUIRE(worker > 0);
  one.ends.second.reset();
  all.hear(1, one.reader);
  ::waitpid(worker, nullptr, 0);
  CHECK_FALSE(all.drain(now));
  all.forget(1);
  REQUIRE(log_delivery::finish(steady::now() + 10s));
  CHECK(loggers.sink->texts() == std::vector<std::string>{"from a worker"});
}

TEST_CASE("the log of a worker is heard from the moment on that it is named, until it is forgotten") {
  fresh_loggers loggers;
  attendance all(2);
  const worker_log one;
  one.say("this is no report");
  CHECK_FALSE(wants_attention(all));
  all.hear(1, one.reader);
  CHECK(wants_attention(all));
  CHECK_FALSE(all.drain(now));
  CHECK_FALSE(wants_attention(all));
  all.forget(1);
  one.say("neither is this");
  CHECK_FALSE(wants_attention(all));
  all.forget(1);  // there is none
  one.reader->finish();
  REQUIRE(log_delivery::finish(steady::now() + 10s));
  REQUIRE_FALSE(loggers.sink->texts().empty());  // bytes that make no sense, with a warning
  CHECK(loggers.sink->texts().front().find("4711") != std::string::npos);
}

TEST_CASE("a log that has ended wakes the attendant once") {
  attendance all(2);
  worker_log one;
  all.hear(1, one.reader);
  one.ends.second.reset();
  CHECK(wants_attention(all));
  CHECK_FALSE(all.drain(now));
  CHECK(one.reader->at_end());
  CHECK_FALSE(wants_attention(all));
}
