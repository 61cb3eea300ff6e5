#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/reporting_child.hpp>

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

using lenskit::invoker;
using lenskit::tests::fresh_loggers;
using lenskit::tests::on;
using namespace std::chrono_literals;

namespace {

long count(const std::vector<std::string>& texts, const std::string& text) {
  return std::count(texts.begin(), texts.end(), text);
}

std::string numbered(const char* what, int task) { return what + std::to_string(task); }

}  // namespace

TEST_CASE("every record of a task arrives once and before its result") {
  ON_EVERY_ENGINE(engine);
  const std::size_t chunk = GENERATE(0U, 16U);
  const fresh_loggers loggers;
  auto options = on(engine);
  options.chunk_size = chunk;
  invoker inv(
      0,
      [](int, int x) {
        spdlog::info("begin {}", x);
        if (x % 10 == 3) throw std::runtime_error("logged before");
        spdlog::warn("end {}", x);
      },
      options);
  int task = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 100))) {
    const auto texts = loggers.sink->texts();
    const auto begin = std::find(texts.begin(), texts.end(), numbered("begin ", task));
    const auto end = std::find(texts.begin(), texts.end(), numbered("end ", task));
    REQUIRE(begin != texts.end());
    REQUIRE((end != texts.end()) == each.has_value());
    REQUIRE(begin < end);
    ++task;
  }
  CHECK(loggers.sink->texts().size() == 190);
}

TEST_CASE("a record keeps its level, time, thread and source, and knows its process") {
  ON_EVERY_ENGINE(engine);
  const fresh_loggers loggers;
  invoker inv(
      0,
      [](int, int) {
        SPDLOG_LOGGER_ERROR(spdlog::default_logger(), "careful");
        const int line = __LINE__ - 1;
        return std::tuple(getpid(), line, static_cast<std::size_t>(gettid()));
      },
      on(engine));
  const auto before = spdlog::log_clock::now();
  const auto results = inv.map(std::vector<int>(4)).collect();
  const auto after = spdlog::log_clock::now();
  const auto records = loggers.sink->records();
  REQUIRE(records.size() == 4);
  for (const auto& record : records) {
    CHECK(record.text == "careful");
    CHECK(record.level == spdlog::level::err);
    CHECK(record.time >= before);
    CHECK(record.time <= after);
    CHECK(record.line == std::get<1>(results.front()));
    CHECK(record.file.ends_with("logging_test.cpp"));
    CHECK(std::ranges::any_of(results, [&](const auto& each) { return std::get<2>(each) == record.thread; }));
    if (engine == lenskit::engine::processes) {
      CHECK(std::ranges::any_of(results, [&](const auto& each) { return std::get<0>(each) == record.origin; }));
    } else {
      CHECK(record.origin == 0);
    }
  }
}

TEST_CASE("registered loggers keep their names, at the levels of the parent") {
  ON_EVERY_ENGINE(engine);
  const fresh_loggers loggers;
  for (const char* name : {"model", "quiet"}) {
    spdlog::register_logger(std::make_shared<spdlog::logger>(name, loggers.sink));
  }
  spdlog::get("quiet")->set_level(spdlog::level::err);
  invoker inv(
      0,
      [](int, int x) {
        spdlog::get("model")->info("heard {}", x);
        spdlog::get("model")->debug("too detailed {}", x);
        spdlog::get("quiet")->warn("not wanted {}", x);
        spdlog::get("quiet")->error("serious {}", x);
      },
      on(engine));
  CHECK(inv.map(std::views::iota(0, 20)).collect().size() == 20);
  std::map<std::string, int> by_name;
  for (const auto& record : loggers.sink->records()) ++by_name[record.name];
  CHECK(by_name == std::map<std::string, int>{{"model", 20}, {"quiet", 20}});
}

TEST_CASE("levels that the parent changes reach workers that run") {
  ON_EVERY_ENGINE(engine);
  const fresh_loggers loggers;
  invoker inv(
      0, [](int, int x) { spdlog::debug("detail {}", x); }, on(engine));
  std::ignore = inv.map(std::views::iota(0, 10)).collect();
  CHECK(loggers.sink->texts().empty());
  spdlog::set_level(spdlog::level::debug);
  std::ignore = inv.map(std::views::iota(10, 20)).collect();
  CHECK(loggers.sink->texts().size() == 10);
  spdlog::set_level(spdlog::level::info);
  std::ignore = inv.map(std::views::iota(20, 30)).collect();
  CHECK(loggers.sink->texts().size() == 10);
}

TEST_CASE("asynchronous loggers can be used in tasks") {
  ON_EVERY_ENGINE(engine);
  const fresh_loggers loggers;
  const auto pool = std::make_shared<spdlog::details::thread_pool>(1024, 1);
  spdlog::register_logger(std::make_shared<spdlog::async_logger>("async", loggers.sink, pool));
  {
    invoker inv(
        0, [](int, int x) { spdlog::get("async")->info("record {}", x); }, on(engine));
    std::ignore = inv.map(std::views::iota(0, 50)).collect();
  }
  const auto deadline = std::chrono::steady_clock::now() + 5s;
  while (loggers.sink->texts().size() < 50 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(2ms);
  }
  const auto texts = loggers.sink->texts();
  CHECK(texts.size() == 50);
  for (int task = 0; task < 50; ++task) CHECK(count(texts, numbered("record ", task)) == 1);
}

TEST_CASE("threads of a task may log at once, and no record is torn") {
  ON_EVERY_ENGINE(engine);
  const fresh_loggers loggers;
  invoker inv(
      0,
      [](int, int x) {
        std::vector<std::thread> threads;
        for (int thread = 0; thread < 4; ++thread) {
          threads.emplace_back([=] {
            for (int i = 0; i < 25; ++i) spdlog::info("{} {} {} {}", x, thread, i, std::string(500, 'x'));
          });
        }
        for (auto& each : threads) each.join();
      },
      on(engine));
  CHECK(inv.map(std::views::iota(0, 6)).collect().size() == 6);
  auto texts = loggers.sink->texts();
  CHECK(texts.size() == 600);
  std::sort(texts.begin(), texts.end());
  CHECK(std::unique(texts.begin(), texts.end()) == texts.end());
  CHECK(std::ranges::all_of(texts, [](const auto& text) { return text.ends_with(std::string(500, 'x')); }));
}

TEST_CASE("many records of one task arrive complete") {
  ON_EVERY_ENGINE(engine);
  const fresh_loggers loggers;
  invoker inv(
      0,
      [](int, int x) {
        for (int i = 0; i < 2000; ++i) spdlog::warn("{} {}", x, i);
      },
      on(engine));
  CHECK(inv.map(std::views::iota(0, 4)).collect().size() == 4);
  std::map<std::string, int> next;
  for (const auto& text : loggers.sink->texts()) {
    const auto task = text.substr(0, text.find(' '));
    REQUIRE(text == task + ' ' + std::to_string(next[task]++));
  }
  for (const auto& [task, records] : next) CHECK(records == 2000);
  CHECK(next.size() == 4);
}
