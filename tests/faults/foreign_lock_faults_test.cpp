// The failure R1: what is not the library's hangs, spdlog's registry or a sink, and results and deadlines go on.
#include <lenskit/invoker.hpp>

#include <support/reporting_child.hpp>
#include <support/shared_counters.hpp>

#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

using namespace lenskit;
using namespace lenskit::detail;
using namespace lenskit::tests;
using namespace std::chrono_literals;

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <class Ready>
void sleep_until(const Ready& ready) {
  for (const auto start = std::chrono::steady_clock::now(); !ready() && seconds_since(start) < 20;)
    std::this_thread::sleep_for(1ms);
}

// Holds spdlog's registry while it lives, as a flush of all loggers does.
class registry_hold {
 public:
  registry_hold() {
    thread_ = std::thread([this] {
      spdlog::apply_all([this](const std::shared_ptr<spdlog::logger>&) {
        held_ = true;
        sleep_until([this] { return released_.load(); });
      });
    });
    sleep_until([this] { return held_.load(); });
  }
  ~registry_hold() {
    released_ = true;
    thread_.join();
  }
  registry_hold(const registry_hold&) = delete;
  registry_hold& operator=(const registry_hold&) = delete;

 private:
  std::atomic<bool> held_{false}, released_{false};
  std::thread thread_;
};

// Keeps what it is given, but hangs on the first record until it is let go.
class hanging_sink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  ~hanging_sink() override { let_go(); }
  void let_go() { free_ = true; }
  [[nodiscard]] bool hangs() const { return hangs_; }
  std::vector<std::string> texts() {
    const std::lock_guard held(mutex_);
    return texts_;
  }

 private:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    hangs_ = !free_;
    sleep_until([this] { return free_.load(); });
    hangs_ = false;
    texts_.emplace_back(msg.payload.data(), msg.payload.size());
  }
  void flush_() override {}

  std::atomic<bool> free_{false}, hangs_{false};
  std::vector<std::string> texts_;
};

struct hanging_logger {
  hanging_logger() { spdlog::default_logger()->sinks() = {sink}; }
  ~hanging_logger() {
    sink->let_go();
    log_delivery::finish(std::chrono::steady_clock::now() + 10s);
  }
  fresh_loggers loggers;
  std::shared_ptr<hanging_sink> sink = std::make_shared<hanging_sink>();
};

// The longest time between two results.
template <class Range>
double longest_gap(Range&& results) {
  auto last = std::chrono::steady_clock::now();
  double worst = 0;
  for ([[maybe_unused]] const auto& each : results) {
    worst = std::max(worst, seconds_since(last));
    last = std::chrono::steady_clock::now();
  }
  return worst;
}

constexpr auto processes = engine::processes;
constexpr double short_time = 0.8;  // seconds

}  // namespace

TEST_CASE("R1: results and new calls go on while somebody holds spdlog's registry", "[no_tsan]") {
  const fresh_loggers loggers;
  invoker inv(0,
              [](int, int x) {
                if (x % 100 == 0) spdlog::info("{}", x);
                std::this_thread::sleep_for(500us);
                return x;
              },
              {.n_jobs = 2, .engine = processes});
  std::ignore = inv.map(std::views::iota(0, 4)).collect();
  {
    const registry_hold hold;
    CHECK(longest_gap(inv.map(std::views::iota(1, 2000))) < short_time);
    const auto start = std::chrono::steady_clock::now();
    for (int call = 0; call < 20; ++call) CHECK(inv.map(std::views::iota(1, 3)).collect().size() == 2);
    CHECK(seconds_since(start) < short_time);
  }
  CHECK(log_delivery::finish(std::chrono::steady_clock::now() + 10s));
  CHECK(std::ranges::count(loggers.sink->texts(), "1900") == 1);
}

TEST_CASE("R1: deadlines hold while somebody holds spdlog's registry", "[no_tsan]") {
  const fresh_loggers loggers;
  invoker inv(0,
              [](int, int x) {
                if (x == 3) spdlog::info("about to hang");
                if (x == 3) std::this_thread::sleep_for(60s);
                return x;
              },
              {.n_jobs = 2, .engine = processes, .task_timeout = 200ms});
  std::ignore = inv.map(std::views::iota(0, 2)).collect();
  const registry_hold hold;
  const auto start = std::chrono::steady_clock::now();
  int late = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 8))) late += each.has_value() ? 0 : 1;
  CHECK(late == 1);
  CHECK(seconds_since(start) < 0.2 + 2 * short_time);
}

TEST_CASE("R1: levels that change while the registry is held reach workers when it is free", "[no_tsan]") {
  const fresh_loggers loggers;
  invoker inv(0, [](int, int x) { spdlog::debug("detail {}", x); }, {.n_jobs = 2, .engine = processes});
  const auto logger = spdlog::default_logger();
  {
    const registry_hold hold;
    logger->set_level(spdlog::level::debug);
    std::ignore = inv.map(std::views::iota(0, 10)).collect();
  }
  std::ignore = inv.map(std::views::iota(10, 20)).collect();
  CHECK(std::ranges::count(loggers.sink->texts(), "detail 15") == 1);
  CHECK(std::ranges::count(loggers.sink->texts(), "detail 5") == 0);
}

TEST_CASE("R1: results and deadlines go on while a sink hangs, and its records come late, in order, once",
          "[no_tsan]") {
  hanging_logger log;
  constexpr int tasks = 300;
  constexpr int hung = 150;
  invoker inv(0,
              [](int, int x) {
                spdlog::info("{}", x);
                std::this_thread::sleep_for(x == hung ? 60s : 2ms);
                return x;
              },
              {.n_jobs = 1, .engine = processes, .task_timeout = 300ms});
  auto last = std::chrono::steady_clock::now();
  double worst = 0;
  int late = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, tasks))) {
    worst = std::max(worst, seconds_since(last));
    last = std::chrono::steady_clock::now();
    late += each.has_value() ? 0 : 1;
  }
  CHECK(late == 1);
  CHECK(worst < 0.3 + short_time);
  CHECK(log.sink->hangs());
  log.sink->let_go();
  REQUIRE(log_delivery::finish(std::chrono::steady_clock::now() + 10s));
  const auto texts = log.sink->texts();
  REQUIRE(texts.size() >= tasks);
  for (int x = 0; x < tasks; ++x) REQUIRE(texts[static_cast<std::size_t>(x)] == std::to_string(x));
}

TEST_CASE("R1: a sink that hangs is told of in one warning", "[no_tsan]") {
  const fresh_loggers before;
  const shared_counters seen(1);
  const auto child = ::fork();  // where nothing has hung yet
  if (child == 0) {
    auto* log = new hanging_logger;
    invoker inv(0, [](int, int x) { spdlog::info("{}", x); }, {.n_jobs = 2, .engine = processes});
    std::ignore = inv.map(std::views::iota(0, 100)).collect();
    std::ignore = inv.map(std::views::iota(0, 100)).collect();
    log->sink->let_go();
    inv.shutdown();
    seen[0] += static_cast<int>(std::ranges::count_if(log->sink->texts(), [](const std::string& text) {
      return text.find("results did not wait for the log records") != std::string::npos;
    }));
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  CHECK(seen[0] == 1);
}

TEST_CASE("R1: a storm into a sink that hangs is dropped and counted, and other results go on", "[no_tsan]") {
  hanging_logger log;
  constexpr int storm = 200'000;
  invoker inv(0,
              [](int, int x) {
                for (int i = 0; x == 0 && i < storm; ++i) spdlog::info("drop {}", i);
                std::this_thread::sleep_for(1ms);
                return x;
              },
              {.n_jobs = 2, .engine = processes, .chunk_size = 1});
  CHECK(longest_gap(inv.as_completed(std::views::iota(0, 2000))) < short_time);
  log.sink->let_go();
  inv.shutdown();
  REQUIRE(log_delivery::finish(std::chrono::steady_clock::now() + 10s));
  std::uint64_t dropped = 0;
  std::uint64_t arrived = 0;
  for (const auto& text : log.sink->texts()) {
    if (text.find(" dropped: worker") != std::string::npos) dropped += std::stoull(text);
    if (text.starts_with("drop ")) ++arrived;
  }
  CHECK(dropped > 0);
  CHECK(arrived + dropped == storm);
}

TEST_CASE("R1: a task that logs much while a sink hangs is not called late", "[no_tsan]") {
  hanging_logger log;
  const auto level = GENERATE(spdlog::level::info, spdlog::level::err);
  invoker inv(0,
              [level](int, int x) {
                for (int i = 0; i < 100'000; ++i) spdlog::log(level, "record {} of a storm", i);
                return x;
              },
              {.n_jobs = 1, .engine = processes, .task_timeout = 2s});
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 3))) CHECK(each.has_value());
}

TEST_CASE("R1: a pool is shut down in bounded time while a sink hangs", "[no_tsan]") {
  hanging_logger log;
  invoker inv(0, [](int, int x) { spdlog::info("{}", x); }, {.n_jobs = 2, .engine = processes});
  std::ignore = inv.map(std::views::iota(0, 10)).collect();
  const auto start = std::chrono::steady_clock::now();
  inv.shutdown();
  CHECK(seconds_since(start) < 2.5);
}

TEST_CASE("R1: what was logged is in the sinks when a call has ended and when the program ends", "[no_tsan]") {
  const fresh_loggers before;
  const shared_counters seen(2);
  struct slow_sink final : spdlog::sinks::base_sink<std::mutex> {
    explicit slow_sink(shared_counters::counter& count) : count_(count) {}
    void sink_it_(const spdlog::details::log_msg& msg) override {
      std::this_thread::sleep_for(msg.payload == spdlog::string_view_t("100") ? 500ms : 2ms);
      ++count_;
    }
    void flush_() override {}
    shared_counters::counter& count_;
  };
  const auto child = ::fork();
  if (child == 0) {
    spdlog::default_logger()->sinks() = {std::make_shared<slow_sink>(seen[0])};
    static auto* inv = new invoker(  // never shut down
        0, [](int, int x) { spdlog::info("{}", x); }, invoker_options{.n_jobs = 1, .engine = processes});
    std::ignore = inv->map(std::views::iota(0, 50)).collect();
    seen[1] = seen[0].load();
    std::ignore = inv->map(std::views::iota(100, 150)).collect();
    ::exit(seen[0] < 100 ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  CHECK(seen[1] == 50);
  CHECK(seen[0] == 100);
}
