#include <lenskit/detail/log/report_writer.hpp>
#include <lenskit/detail/os/clock.hpp>

#include <support/reporting_child.hpp>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>

using namespace lenskit;
using namespace lenskit::detail;
using namespace lenskit::tests;

TEST_CASE("a record of any size arrives as it was") {
  fresh_loggers loggers;
  const std::vector<std::size_t> sizes{0, 1, 3990, 4020, 4024, 4025, 4096, 8192, 65'536, 1'000'000};
  reporting_child child([&] {
    for (const auto size : sizes) {
      std::string text(size, 'a');
      for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 26);
      spdlog::info(text);
    }
  });
  REQUIRE(child.drain_to_death() == 0);
  const auto texts = loggers.sink->texts();
  REQUIRE(texts.size() == sizes.size());
  for (std::size_t n = 0; n < sizes.size(); ++n) {
    REQUIRE(texts[n].size() == sizes[n]);
    for (std::size_t i = 0; i < sizes[n]; ++i)
      if (texts[n][i] != static_cast<char>('a' + i % 26)) FAIL("wrong byte " << i << " of " << sizes[n]);
  }
}

TEST_CASE("a record of more than 16 MB is cut") {
  fresh_loggers loggers;
  reporting_child child([&] { spdlog::warn(std::string(17 << 20, 'x')); });
  REQUIRE(child.drain_to_death() == 0);
  const auto texts = loggers.sink->texts();
  REQUIRE(texts.size() == 1);
  CHECK(texts[0].size() > (15U << 20));
  CHECK(texts[0].size() <= max_report);
}

TEST_CASE("short writes and interruptions are made up for") {
  struct nuisance : sys::interceptor {
    int count = 0;
    int fail(sys::call which) noexcept override { return which == sys::call::write && ++count % 3 == 0 ? EINTR : 0; }
    std::size_t shorten(sys::call which, std::size_t bytes) noexcept override {
      return which == sys::call::write ? (bytes + 2) / 3 : bytes;
    }
  };
  fresh_loggers loggers;
  reporting_child child([] {
    nuisance hook;
    sys::intercept(&hook);
    for (int i = 0; i < 50; ++i) spdlog::info("record {} {}", i, std::string(500, '.'));
    sys::intercept(nullptr);
  });
  REQUIRE(child.drain_to_death() == 0);
  CHECK(loggers.sink->texts().size() == 50);
}

TEST_CASE("logging keeps errno") {
  fresh_loggers loggers;
  reporting_child child([] {
    errno = ERANGE;
    write_report(report_kind::log, patience::none, {});
    if (errno != ERANGE) ::_exit(1);
  });
  CHECK(child.drain_to_death() == 0);
}

TEST_CASE("a worker whose parent has stopped listening goes on") {
  fresh_loggers loggers;
  int ends[2];
  REQUIRE(sys::pipe(ends, 0) == 0);
  const auto pid = with_loggers_quiet([] { return sys::fork(); });
  if (pid == 0) {
    ::signal(SIGPIPE, SIG_IGN);
    ::close(ends[0]);
    start_worker_logging(ends[1]);
    for (int i = 0; i < 100; ++i) spdlog::critical("into the void");
    ::_exit(7);
  }
  ::close(ends[0]);
  ::close(ends[1]);
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  CHECK(WEXITSTATUS(status) == 7);
}

TEST_CASE("threads of a worker report under their own numbers") {
  fresh_loggers loggers;
  reporting_child child([] {
    std::thread([] { spdlog::info("{}", ::gettid()); }).join();
    spdlog::info("{}", ::gettid());
  });
  REQUIRE(child.drain_to_death() == 0);
  const auto records = loggers.sink->records();
  REQUIRE(records.size() == 2);
  for (const auto& record : records) CHECK(std::to_string(record.thread) == record.text);
  CHECK(records[0].thread != records[1].thread);
}

TEST_CASE("K2: the time for which a report waits for its reader is not the time of the task that reports") {
  fresh_loggers loggers;
  void* room = sys::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(room != MAP_FAILED);
  auto* waiting = new (room) std::atomic<std::uint32_t>(0);
  auto* started_at = new (static_cast<std::byte*>(room) + 64) std::atomic<std::int64_t>(1000);
  reporting_child child([&] {
    tell_waits(*waiting, *started_at);
    spdlog::info(std::string(1 << 20, 'x'));  // more than a pipe takes
  });
  const auto give_up = steady::now() + std::chrono::seconds(10);
  while (*waiting == 0 && steady::now() < give_up) std::this_thread::yield();
  const auto began = steady::now();
  CHECK(*waiting == 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const auto at_least = steady::now() - began;
  REQUIRE(child.drain_to_death() == 0);
  CHECK(*waiting == 0);
  CHECK(*started_at >= 1000 + std::chrono::nanoseconds(at_least).count());
  sys::munmap(room, 4096);
}
