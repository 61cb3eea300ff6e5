#include <lenskit/detail/log/levels.hpp>
#include <lenskit/logging.hpp>

#include <spdlog/async.h>
#include <spdlog/sinks/ostream_sink.h>
#include <support/reporting_child.hpp>

#include <algorithm>
#include <iostream>
#include <sstream>

using namespace lenskit;
using namespace lenskit::tests;

TEST_CASE("a record of a worker arrives with its time, thread, source, level and pid") {
  fresh_loggers loggers;
  const auto before = spdlog::log_clock::now();
  reporting_child child([] {
    spdlog::log(spdlog::source_loc{"model.cpp", 42, "train"}, spdlog::level::warn, "loss is {}", 0.5);
  });
  REQUIRE(child.drain_to_death() == 0);
  const auto records = loggers.sink->records();
  REQUIRE(records.size() == 1);
  const auto& record = records.front();
  CHECK(record.text == "loss is 0.5");
  CHECK(record.name.empty());
  CHECK(record.level == spdlog::level::warn);
  CHECK(record.file == "model.cpp");
  CHECK(record.function == "train");
  CHECK(record.line == 42);
  CHECK(record.time >= before);
  CHECK(record.time <= spdlog::log_clock::now());
  CHECK(record.thread == static_cast<std::size_t>(child.pid()));
  CHECK(record.origin == child.pid());
}

TEST_CASE("a record goes to the parent's logger of the same name") {
  fresh_loggers loggers;
  auto mine = std::make_shared<keeping_sink>();
  auto logger = std::make_shared<spdlog::logger>("als", mine);
  spdlog::register_logger(logger);
  reporting_child child([logger] {
    logger->info("captured");
    spdlog::get("als")->info("looked up");
    spdlog::info("default");
  });
  REQUIRE(child.drain_to_death() == 0);
  CHECK(mine->texts() == std::vector<std::string>{"captured", "looked up"});
  CHECK(loggers.sink->texts() == std::vector<std::string>{"default"});
}

TEST_CASE("a logger that only the worker has reaches the default logger's sinks under its own name") {
  fresh_loggers loggers;
  reporting_child child([] {
    auto logger = std::make_shared<spdlog::logger>("scratch", std::make_shared<keeping_sink>());
    spdlog::register_logger(logger);
    logger->info("before adoption");
    detail::adopt_new_loggers();
    logger->info("after adoption");
  });
  REQUIRE(child.drain_to_death() == 0);
  const auto records = loggers.sink->records();
  REQUIRE(records.size() == 1);  // the sink of its own kept the first one
  CHECK(records[0].name == "scratch");
  CHECK(records[0].text == "after adoption");
}

TEST_CASE("a logger made by a factory of spdlog in a worker reports at once, and once") {
  fresh_loggers loggers;
  reporting_child child([] {
    spdlog::create<spdlog::sinks::ostream_sink_mt>("one", std::cout)->info("from one");
    const spdlog::sink_ptr out = std::make_shared<spdlog::sinks::ostream_sink_mt>(std::cout);
    auto two = std::make_shared<spdlog::logger>("two", spdlog::sinks_init_list{out, out});
    spdlog::initialize_logger(two);
    two->info("from two");
    two->info("again");
  });
  REQUIRE(child.drain_to_death() == 0);
  CHECK(loggers.sink->texts() == std::vector<std::string>{"from one", "from two", "again"});
}

TEST_CASE("a default logger that fn puts in place in a worker is adopted") {
  fresh_loggers loggers;
  reporting_child child([] {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("other", std::make_shared<keeping_sink>()));
    detail::adopt_new_loggers();
    spdlog::info("hello");
  });
  REQUIRE(child.drain_to_death() == 0);
  const auto records = loggers.sink->records();
  REQUIRE(records.size() == 1);
  CHECK(records[0].name == "other");
}

TEST_CASE("the worker filters at the parent's levels as of the fork, the parent at its levels now") {
  fresh_loggers loggers;
  spdlog::set_level(spdlog::level::debug);
  reporting_child child([] {
    spdlog::trace("below");
    spdlog::debug("at");
    spdlog::info("above");
  });
  REQUIRE(child.reader().delivered() == 0);
  spdlog::set_level(spdlog::level::info);
  REQUIRE(child.drain_to_death() == 0);
  CHECK(child.reader().delivered() == 2);
  CHECK(loggers.sink->texts() == std::vector<std::string>{"above"});
  spdlog::set_level(spdlog::level::info);
}

TEST_CASE("levels that the parent changes later can be sent to a worker") {
  fresh_loggers loggers;
  auto logger = std::make_shared<spdlog::logger>("verbose", loggers.sink);
  spdlog::register_logger(logger);
  detail::refresh_levels();
  const auto at_fork = *detail::known_levels().encoded;
  logger->set_level(spdlog::level::trace);
  detail::refresh_levels();
  const auto now = *detail::known_levels().encoded;
  CHECK(at_fork != now);
  logger->set_level(spdlog::level::info);
  detail::refresh_levels();
  REQUIRE(*detail::known_levels().encoded == at_fork);
  reporting_child child([&] {
    logger->trace("too early");
    detail::apply_levels(now);
    logger->trace("now");
    detail::apply_levels("9bad");
    detail::apply_levels(std::string("9x\0001verbose\0", 12));
    logger->trace("still");
  });
  logger->set_level(spdlog::level::trace);
  REQUIRE(child.drain_to_death() == 0);
  CHECK(loggers.sink->texts() == std::vector<std::string>{"now", "still"});
}

TEST_CASE("an asynchronous logger of the parent is synchronous in a worker and keeps its settings", "[no_tsan]") {
  fresh_loggers loggers;
  spdlog::init_thread_pool(128, 1);
  auto logger = std::make_shared<spdlog::async_logger>("async", loggers.sink, spdlog::thread_pool());
  spdlog::register_logger(logger);
  logger->set_level(spdlog::level::debug);
  logger->flush_on(spdlog::level::err);
  reporting_child child([logger] {
    std::shared_ptr<spdlog::logger> base = logger;
    base->debug("one");
    logger->error("two");
    logger->flush();
    if (base->level() != spdlog::level::debug || base->flush_level() != spdlog::level::err || base->name() != "async")
      ::_exit(1);
    base->clone("copy")->info("three");
#ifdef __SANITIZE_ADDRESS__
    base->info("four");  // the undefined-behaviour sanitizer, which comes along, sees that the class has changed
#else
    auto exact = std::make_shared<spdlog::async_logger>(*logger);  // nothing can make this one synchronous
    exact->info("four");
    for (int i = 0; i < 500 && detail::reports_written() < 4; ++i) ::usleep(10'000);
#endif
  });
  REQUIRE(child.drain_to_death() == 0);
  logger->flush();
  for (int i = 0; i < 500 && loggers.sink->records().size() < 4; ++i) ::usleep(10'000);
  auto records = loggers.sink->records();
  REQUIRE(records.size() == 4);
  const auto order = [](const seen_record& a, const seen_record& b) { return a.time < b.time; };
  std::sort(records.begin(), records.end(), order);  // the parent's own queue mixes its loggers
  CHECK(records[0].text == "one");
  CHECK(records[0].thread == static_cast<std::size_t>(child.pid()));
  CHECK(records[2].name == "copy");
  CHECK(records[3].text == "four");
  CHECK(records[3].thread == static_cast<std::size_t>(child.pid()));
  logger.reset();
  spdlog::drop_all();
  spdlog::details::registry::instance().set_tp(nullptr);
}

TEST_CASE("backtraces work in the worker and in the parent") {
  fresh_loggers loggers;
  auto logger = std::make_shared<spdlog::logger>("traced", loggers.sink);
  spdlog::register_logger(logger);
  logger->enable_backtrace(3);
  logger->debug("of the parent");
  reporting_child child([logger] {
    for (int i = 0; i < 5; ++i) logger->debug("step {}", i);
    logger->dump_backtrace();
  });
  REQUIRE(child.drain_to_death() == 0);
  auto texts = loggers.sink->texts();
  REQUIRE(texts.size() == 2);  // debug records are below the parent's level, but its own backtrace has them
  logger->dump_backtrace();
  texts = loggers.sink->texts();
  CHECK(std::find(texts.begin(), texts.end(), "step 4") != texts.end());
}

TEST_CASE("an error of logging in a worker is a record and reaches neither fn nor standard error") {
  fresh_loggers loggers;
  reporting_child child([] { spdlog::info(fmt::runtime("{:d}"), "no number"); });
  REQUIRE(child.drain_to_death() == 0);
  const auto records = loggers.sink->records();
  REQUIRE(records.size() == 1);
  CHECK(records[0].level == spdlog::level::err);
  CHECK(records[0].text.substr(0, 11) == "cannot log:");
}

TEST_CASE("the pattern of a worker prints the worker's pid, and the parent's for its own records") {
  fresh_loggers loggers;
  std::ostringstream out;
  auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(out);
  sink->set_formatter(worker_pattern("[%P] %v"));
  spdlog::register_logger(std::make_shared<spdlog::logger>("patterned", sink));
  reporting_child child([] { spdlog::get("patterned")->info("theirs"); }, 3);
  REQUIRE(child.drain_to_death() == 0);
  spdlog::get("patterned")->info("ours");
  CHECK(out.str() == fmt::format("[{}] theirs\n[{}] ours\n", child.pid(), ::getpid()));
  CHECK(current_log_origin() == nullptr);
}

TEST_CASE("the origin names the index of the worker and orders records by the steady clock") {
  fresh_loggers loggers;
  struct checking_sink final : spdlog::sinks::base_sink<std::mutex> {
    std::vector<log_origin> seen;
    void sink_it_(const spdlog::details::log_msg&) override { seen.push_back(*current_log_origin()); }
    void flush_() override {}
  };
  auto sink = std::make_shared<checking_sink>();
  spdlog::default_logger()->sinks() = {sink};
  const auto before = std::chrono::steady_clock::now();
  reporting_child child(
      [] {
        spdlog::info("a");
        spdlog::info("b");
      },
      7);
  REQUIRE(child.drain_to_death() == 0);
  REQUIRE(sink->seen.size() == 2);
  CHECK(sink->seen[0].worker == 7);
  CHECK(sink->seen[0].time >= before);
  CHECK(sink->seen[1].time >= sink->seen[0].time);
}

TEST_CASE("a record of a worker of a worker arrives with the pid of the one that made it") {
  fresh_loggers loggers;
  reporting_child child([] {
    reporting_child inner([] { spdlog::info("from {}", ::getpid()); });
    if (inner.drain_to_death() != 0) ::_exit(1);
    spdlog::info("inner was {}", inner.pid());
  });
  REQUIRE(child.drain_to_death() == 0);
  const auto records = loggers.sink->records();
  REQUIRE(records.size() == 2);
  CHECK(records[0].origin != child.pid());
  CHECK(records[0].text == fmt::format("from {}", records[0].origin));
  CHECK(records[0].thread == static_cast<std::size_t>(records[0].origin));
  CHECK(records[1].text == fmt::format("inner was {}", records[0].origin));
  CHECK(records[1].origin == child.pid());
}
