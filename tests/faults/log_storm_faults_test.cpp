// The failure L2: workers that log more than anybody reads.
#include <support/reporting_child.hpp>

#include <chrono>
#include <cstdint>
#include <string>

using namespace lenskit;
using namespace lenskit::detail;
using namespace lenskit::tests;

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

TEST_CASE("L2: a storm that nobody reads costs the worker a second, is counted, and goes on when there is room") {
  fresh_loggers loggers;
  int ends[2];
  REQUIRE(sys::pipe(ends, 0) == 0);
  const descriptor told(ends[0]);
  const descriptor tell(ends[1]);
  constexpr std::uint64_t storm = 200'000;
  reporting_child child([&] {
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t i = 0; i < storm; ++i) spdlog::info("drop {}", i);
    const double took = seconds_since(start);
    if (::write(tell.get(), &took, sizeof took) != sizeof took) ::_exit(1);
    ::pause();
  });
  double took = 0;  // nobody has read a report until here
  REQUIRE(::read(told.get(), &took, sizeof took) == sizeof took);
  CHECK(took > 0.9);
  CHECK(took < 10);
  child.reader().drain();
  const auto arrived = loggers.sink->texts().size();
  CHECK(arrived > 500);
  CHECK(arrived < storm);
  CHECK(loggers.sink->texts()[arrived - 1] == fmt::format("drop {}", arrived - 1));
}

TEST_CASE("L2: the next record that gets through is preceded by the number of those that did not") {
  fresh_loggers loggers;
  int ends[2];
  REQUIRE(sys::pipe(ends, 0) == 0);
  const descriptor told(ends[0]);
  const descriptor tell(ends[1]);
  constexpr std::uint64_t storm = 50'000;
  reporting_child child([&] {
    for (std::uint64_t i = 0; i < storm; ++i) spdlog::info("drop {}", i);
    const char byte = 0;
    if (::write(tell.get(), &byte, 1) != 1) ::_exit(1);
    spdlog::warn("important");  // waits for room, however long the others did
  });
  char byte;
  REQUIRE(::read(told.get(), &byte, 1) == 1);
  ::usleep(300'000);
  REQUIRE(child.drain_to_death() == 0);
  const auto texts = loggers.sink->texts();
  REQUIRE(texts.size() >= 2);
  CHECK(texts.back() == "important");
  std::uint64_t dropped = 0;
  std::uint64_t arrived = 0;
  for (const auto& text : texts) {
    if (const auto at = text.find(" dropped: worker"); at != std::string::npos) dropped += std::stoull(text);
    if (text.rfind("drop ", 0) == 0) ++arrived;
  }
  CHECK(dropped > 0);
  CHECK(arrived + dropped == storm);
  CHECK(child.reader().delivered() == storm + 1);
}

TEST_CASE("L2: a slow sink makes the worker wait and loses nothing") {
  fresh_loggers loggers;
  struct slow_sink final : spdlog::sinks::base_sink<std::mutex> {
    int count = 0;
    void sink_it_(const spdlog::details::log_msg&) override {
      if (++count % 100 == 0) ::usleep(1000);
    }
    void flush_() override {}
  };
  auto slow = std::make_shared<slow_sink>();
  spdlog::default_logger()->sinks() = {slow};
  reporting_child child([] {
    for (int i = 0; i < 20'000; ++i) spdlog::info("record {}", i);
  });
  REQUIRE(child.drain_to_death() == 0);
  CHECK(slow->count == 20'000);
}
