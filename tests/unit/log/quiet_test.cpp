#include <lenskit/detail/log/quiet.hpp>

#include <lenskit/detail/log/spdlog_internals.hpp>

#include <spdlog/sinks/basic_file_sink.h>
#include <support/reporting_child.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

using namespace lenskit;
using namespace lenskit::detail;
using namespace lenskit::tests;

TEST_CASE("what the fork returns comes back, and what it throws passes through") {
  CHECK(with_loggers_quiet([] { return 42; }) == 42);
  CHECK_THROWS_AS(with_loggers_quiet([]() -> int { throw std::runtime_error("no"); }), std::runtime_error);
  CHECK(with_loggers_quiet([] { return std::make_unique<int>(3); }) != nullptr);  // the registry is free again
  spdlog::info("and usable");
}

TEST_CASE("the registry is held while the fork runs") {
  fresh_loggers loggers;
  const bool free = with_loggers_quiet([] {
    bool got = false;
    std::thread([&] { got = registry_mutex().try_lock(); }).join();
    return got;
  });
  CHECK_FALSE(free);
}

TEST_CASE("without any logger the fork runs all the same") {
  fresh_loggers loggers;
  spdlog::drop_all();
  CHECK(with_loggers_quiet([] { return 1; }) == 1);
}

TEST_CASE("file loggers are flushed before the fork") {
  fresh_loggers loggers;
  const auto path = std::filesystem::temp_directory_path() / ("quiet_test." + std::to_string(::getpid()));
  auto logger = spdlog::basic_logger_mt("file", path.string());
  logger->info("buffered");
  const auto text = with_loggers_quiet([&] {
    std::ostringstream all;
    all << std::ifstream(path).rdbuf();
    return all.str();
  });
  CHECK(text.find("buffered") != std::string::npos);
  spdlog::drop_all();
  logger.reset();
  std::filesystem::remove(path);
}

TEST_CASE("a sink that blocks and a registry that is held for good delay a fork but do not stop it") {
  fresh_loggers loggers;
  struct stuck_sink final : spdlog::sinks::base_sink<std::mutex> {
    std::atomic<bool> go{false};
    void sink_it_(const spdlog::details::log_msg&) override {}
    void flush_() override {
      while (!go) ::usleep(1000);
    }
  };
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  SECTION("sink") {
    auto sink = std::make_shared<stuck_sink>();
    spdlog::register_logger(std::make_shared<spdlog::logger>("stuck", sink));
    CHECK(with_loggers_quiet([] { return 1; }) == 1);
    CHECK(with_loggers_quiet([] { return registry_was_quiet(); }));
    CHECK(seconds() < 3);
    sink->go = true;
    for (int i = 0; i < 1000 && sink.use_count() > 2; ++i) ::usleep(1000);  // the flusher lets go of its logger
  }
  SECTION("registry") {
    const std::lock_guard held(registry_mutex());
    CHECK_FALSE(with_loggers_quiet([] { return registry_was_quiet(); }));
    CHECK(seconds() < 3);
  }
  CHECK(with_loggers_quiet([] { return registry_was_quiet(); }));
}

TEST_CASE("a worker forked while the registry is held for good still reports through the default logger") {
  fresh_loggers loggers;
  std::unique_lock held(registry_mutex());
  reporting_child child([] { spdlog::default_logger_raw()->info("got through"); });
  held.unlock();
  REQUIRE(child.drain_to_death() == 0);
  CHECK(loggers.sink->texts() == std::vector<std::string>{"got through"});
}

TEST_CASE("text in the buffer of standard output is written once") {
  std::fflush(stdout);
  const int saved = ::dup(STDOUT_FILENO);
  const auto path = std::filesystem::temp_directory_path() / ("quiet_stdout." + std::to_string(::getpid()));
  std::FILE* file = std::fopen(path.c_str(), "w");
  REQUIRE(file != nullptr);
  ::dup2(::fileno(file), STDOUT_FILENO);
  std::printf("buffered");
  {
    fresh_loggers loggers;
    reporting_child child([] { std::fflush(stdout); });
    child.drain_to_death();
  }
  std::fflush(stdout);
  ::dup2(saved, STDOUT_FILENO);
  ::close(saved);
  std::fclose(file);
  std::ostringstream all;
  all << std::ifstream(path).rdbuf();
  std::filesystem::remove(path);
  CHECK(all.str() == "buffered");
}

TEST_CASE("a thread that waits in getline on standard input does not stop a fork") {
  int ends[2];
  REQUIRE(sys::pipe(ends, 0) == 0);
  std::FILE* const input = ::fdopen(ends[0], "r");
  std::thread reader([&] { static_cast<void>(std::fgetc(input)); });  // holds the stream's lock
  ::usleep(20'000);
  const auto start = std::chrono::steady_clock::now();
  CHECK(with_loggers_quiet([] { return 1; }) == 1);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(2));
  ::close(ends[1]);
  reader.join();
  std::fclose(input);
}
