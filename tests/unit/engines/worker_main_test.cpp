#include <lenskit/detail/engines/connection.hpp>
#include <lenskit/detail/engines/worker_main.hpp>
#include <lenskit/detail/os/child.hpp>
#include <lenskit/detail/os/system.hpp>

#include <support/catch.hpp>
#include <support/int_tasks.hpp>

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <utility>
#include <vector>

namespace {

using namespace lenskit::tests;

// A worker process without a spawner: a child that runs `program` in a place, and the parent's ends.
class lone_worker {
 public:
  lone_worker(d::worker_main& program, d::journal& journals, int slot)
      : lone_worker(d::make_stream(), d::make_pipe(), program, journals, slot) {}
  ~lone_worker() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  lone_worker(const lone_worker&) = delete;
  lone_worker& operator=(const lone_worker&) = delete;

  // The results of the next message.
  std::vector<int> results() {
    for (;;) {
      if (auto message = link.next()) {
        d::reader in(message->payload.bytes());
        std::vector<int> values(in.get<d::results_head>().count);
        std::ignore = in.get<d::run_head>();
        for (auto& each : values) each = in.get<int>();
        return values;
      }
      pollfd news{link.fd(), POLLIN, 0};
      REQUIRE(d::sys::poll(&news, 1, 10'000) > 0);
      REQUIRE(link.receive().state != d::transfer::end::closed);
    }
  }
  // Closes its stream; returns its wait status.
  int end() {
    link.close();
    int status = -1;
    ::waitpid(std::exchange(pid_, 0), &status, 0);
    return status;
  }

 private:
  lone_worker(d::descriptor_pair stream, d::descriptor_pair log, d::worker_main& program, d::journal& journals,
              int slot)
      : link(std::move(stream.first), journals.of(slot)), log_(std::move(log.first)) {
    std::cout.flush();
    std::fflush(nullptr);
    pid_ = d::sys::fork();
    if (pid_ == 0) {
      ::signal(SIGPIPE, SIG_IGN);
      link.close();
      program.run(slot, {std::move(stream.second), std::move(log.second)});
    }
    REQUIRE(pid_ > 0);
  }

 public:
  d::connection link;

 private:
  d::descriptor log_;
  pid_t pid_ = 0;
};

}  // namespace

TEST_CASE("a worker enters its place, runs what it is sent, and ends in peace when its stream closes", "[no_tsan]") {
  d::journal journals(3);
  int entered = -1;
  d::worker_main program(int_place(100, [&](const int& model, int x) { return model + 10 * entered + x; }), journals,
                         {.fenced = true, .enter_worker = [&](int slot) { entered = slot; }});
  CHECK(program.ends_stopped_workers());
  lone_worker worker(program, journals, 2);
  worker.link.push(int_tasks(7, {1, 2, 3}), false);
  worker.link.push(int_tasks(8, {4}), false);
  worker.link.flush();
  CHECK(worker.results() == std::vector<int>{121, 122, 123});
  CHECK(worker.results() == std::vector<int>{124});
  CHECK(journals.of(2).ready == 1);
  CHECK(journals.of(0).ready == 0);
  CHECK(entered == -1);  // here nobody did
  const int status = worker.end();
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(journals.of(2).passed == 2);
}

TEST_CASE("V3: what a worker's copy of the function holds is destroyed before the worker ends", "[no_tsan]") {
  d::journal journals(1);
  auto ends = d::make_pipe();
  std::shared_ptr<int> held(new int(ends.second.get()), [](const int* fd) {
    const char gone = 'x';
    std::ignore = ::write(*fd, &gone, 1);
    delete fd;
  });
  d::worker_main program(int_place(0, [held = std::move(held)](const int&, int x) { return x; }), journals,
                         {.fenced = true});
  lone_worker worker(program, journals, 0);
  worker.end();
  char said = 0;
  CHECK(d::sys::read(ends.first.get(), &said, 1) == 1);
  CHECK(said == 'x');
}

TEST_CASE("a worker of a pool with deadlines leaves stopped workers to these") {
  d::journal journals(1);
  const d::worker_main program(int_place(0, [](const int&, int x) { return x; }), journals,
                               {.ends_stopped_workers = false});
  CHECK_FALSE(program.ends_stopped_workers());
}
