// The failure U2: the program forks beside threads of the library, and its child logs.
#include <lenskit/detail/log/foreign_call.hpp>
#include <lenskit/invoker.hpp>

#include <support/reporting_child.hpp>
#include <support/shared_counters.hpp>

#include <atomic>
#include <chrono>
#include <optional>
#include <ranges>
#include <string>
#include <thread>

using namespace lenskit;
using namespace lenskit::detail;
using namespace lenskit::tests;
using namespace std::chrono_literals;

namespace {

using watch = std::chrono::steady_clock;

#if defined(__SANITIZE_ADDRESS__)
constexpr int forks = 60;
#else
constexpr int forks = 300;
#endif

// Whether the child ends by itself; killed after so long.
bool ends_within(pid_t child, std::chrono::seconds limit) {
  int status = 0;
  for (const auto start = watch::now(); ::waitpid(child, &status, WNOHANG) == 0; std::this_thread::sleep_for(100us)) {
    if (watch::now() - start < limit) continue;
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    return false;
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Spends its time under its lock, as one that writes to a disk does.
class busy_sink final : public spdlog::sinks::base_sink<std::mutex> {
 private:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    spdlog::memory_buf_t text;
    formatter_->format(msg, text);
    for (const auto start = watch::now(); watch::now() - start < 100us;) continue;
  }
  void flush_() override {}
};

}  // namespace

TEST_CASE("U2: children that the program forks beside logging workers can log", "[no_tsan]") {
  const fresh_loggers loggers;
  spdlog::default_logger()->sinks() = {std::make_shared<busy_sink>()};
  spdlog::register_logger(std::make_shared<spdlog::logger>("other", spdlog::default_logger()->sinks().front()));
  const shared_counters stop(1);
  invoker inv(0,
              [&](int, int) {
                while (stop[0] == 0) {
                  spdlog::info("a line of a worker");
                  spdlog::get("other")->info("another");
                }
              },
              {.n_jobs = 2, .engine = engine::processes, .chunk_size = 1});
  auto range = inv.map(std::views::iota(0, 2));
  std::thread consumer([&] { std::ignore = range.begin(); });
  int hung = 0;
  double worst = 0;
  for (int round = 0; round < forks && hung < 3; ++round) {
    const auto start = watch::now();
    const auto child = ::fork();
    if (child == 0) {
      spdlog::info("a line of a child");
      spdlog::get("other")->info("another");
      ::_exit(0);
    }
    worst = std::max(worst, std::chrono::duration<double>(watch::now() - start).count());
    hung += ends_within(child, 5s) ? 0 : 1;
  }
  stop[0] = 1;
  consumer.join();
  CHECK(hung == 0);
  CHECK(worst < 0.5);
  inv.shutdown();
  CHECK(log_delivery::finish(watch::now() + 10s));
}

TEST_CASE("U2: a fork waits until foreign calls have ended, a second at most, and once for each that hangs",
          "[no_tsan]") {
  std::atomic<bool> inside{false}, ends{false};
  const auto occupy = [&] {
    const foreign_call call;
    inside = true;
    while (!ends) std::this_thread::sleep_for(1ms);
  };
  const auto forking_takes = [] {
    const auto start = watch::now();
    const auto child = ::fork();
    if (child == 0) {
      const foreign_call here;  // does not wait for a thread that is not here
      ::_exit(0);
    }
    const double took = std::chrono::duration<double>(watch::now() - start).count();
    CHECK(ends_within(child, 5s));
    return took;
  };
  std::thread busy(occupy);
  while (!inside) std::this_thread::yield();
  std::thread later([&] {
    std::this_thread::sleep_for(200ms);
    ends = true;
  });
  const double took = forking_takes();
  CHECK(took > 0.1);
  CHECK(took < 0.9);
  busy.join();
  later.join();

  inside = ends = false;
  std::thread hung(occupy);
  while (!inside) std::this_thread::yield();
  CHECK(forking_takes() > 0.9);
  { const foreign_call another; }
  CHECK(forking_takes() < 0.5);
  ends = true;
  hung.join();
  CHECK(forking_takes() < 0.5);
}

TEST_CASE("U2: a sink may fork", "[no_tsan]") {
  struct forking_sink final : spdlog::sinks::sink {
    std::atomic<int> ended{0};
    void log(const spdlog::details::log_msg&) override {
      const auto child = ::fork();
      if (child == 0) ::_exit(0);
      ended += ends_within(child, 5s) ? 1 : 0;
    }
    void flush() override {}
    void set_pattern(const std::string&) override {}
    void set_formatter(std::unique_ptr<spdlog::formatter>) override {}
  };
  const fresh_loggers loggers;
  const auto sink = std::make_shared<forking_sink>();
  spdlog::default_logger()->sinks() = {sink};
  const auto start = watch::now();
  {
    invoker inv(0, [](int, int x) { spdlog::info("{}", x); }, {.n_jobs = 2, .engine = engine::processes});
    std::ignore = inv.map(std::views::iota(0, 5)).collect();
  }
  REQUIRE(log_delivery::finish(watch::now() + 5s));
  CHECK(sink->ended == 5);
  CHECK(watch::now() - start < 3s);
}

TEST_CASE("U2: a child of the program can make a pool of its own and hear its workers", "[no_tsan]") {
  const fresh_loggers loggers;
  invoker inv(0, [](int, int x) { spdlog::info("{}", x); }, {.n_jobs = 2, .engine = engine::processes});
  std::ignore = inv.map(std::views::iota(0, 20)).collect();
  const auto child = ::fork();
  if (child == 0) {
    const auto before = loggers.sink->texts().size();
    invoker own(0, [](int, int x) { spdlog::info("{}", x); }, {.n_jobs = 2, .engine = engine::processes});
    std::ignore = own.map(std::views::iota(0, 20)).collect();
    own.shutdown();
    ::_exit(before == 20 && loggers.sink->texts().size() == 40 ? 0 : 1);
  }
  CHECK(ends_within(child, 10s));
}
