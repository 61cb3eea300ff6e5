#include <lenskit/detail/log/levels.hpp>

#include <support/reporting_child.hpp>

#include <atomic>
#include <chrono>
#include <thread>

using namespace lenskit;
using namespace lenskit::detail;
using namespace lenskit::tests;
using namespace std::chrono_literals;

TEST_CASE("the known levels get another version when one has changed, and only then") {
  const fresh_loggers loggers;
  refresh_levels();
  const auto before = known_levels();
  REQUIRE(before.encoded);
  CHECK(before.version == levels_version());
  refresh_levels();
  CHECK(levels_version() == before.version);
  spdlog::default_logger()->set_level(spdlog::level::trace);
  CHECK(levels_version() == before.version);
  refresh_levels();
  CHECK(levels_version() > before.version);
  CHECK(*known_levels().encoded != *before.encoded);
}

TEST_CASE("levels are looked at again after 20 ms") {
  const fresh_loggers loggers;
  refresh_levels();
  const auto before = levels_version();
  spdlog::default_logger()->set_level(spdlog::level::trace);
  std::this_thread::sleep_for(21ms);
  refresh_levels_if_due();
  CHECK(levels_version() > before);
}

TEST_CASE("R1: levels stay as they are known while the registry is held, which is waited for once") {
  const fresh_loggers loggers;
  const auto logger = spdlog::default_logger();
  refresh_levels();
  const auto before = known_levels();
  std::atomic<bool> held{false}, released{false};
  std::thread holder([&] {
    spdlog::apply_all([&](const std::shared_ptr<spdlog::logger>&) {
      held = true;
      while (!released) std::this_thread::sleep_for(1ms);
    });
  });
  while (!held) std::this_thread::yield();
  logger->set_level(spdlog::level::trace);
  const auto start = std::chrono::steady_clock::now();
  refresh_levels(100ms);
  const auto first = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) refresh_levels(100ms);
  const auto others = std::chrono::steady_clock::now() - first;
  CHECK(first - start >= 100ms);
  CHECK(others < 2s);
  CHECK(known_levels().version == before.version);
  released = true;
  holder.join();
  refresh_levels();
  CHECK(levels_version() > before.version);
}
