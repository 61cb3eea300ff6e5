#include <lenskit/detail/log/delivery.hpp>

#include <support/in_child.hpp>
#include <support/reporting_child.hpp>

#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

using namespace lenskit;
using namespace lenskit::detail;
using namespace lenskit::tests;
using namespace std::chrono_literals;

namespace {

using watch = std::chrono::steady_clock;

delivery_batch lines(const std::shared_ptr<delivery_channel>& channel, int first, int count) {
  delivery_batch batch;
  batch.channel = channel;
  for (int i = first; i < first + count; ++i) batch.add(deliver_warning, std::to_string(i), 1);
  return batch;
}

// Sleeps before each record as long as it is told to.
class sleeping_sink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  std::atomic<int> ms{0}, seen{0};

 private:
  void sink_it_(const spdlog::details::log_msg&) override {
    for (int slept = 0; slept < ms; ++slept) std::this_thread::sleep_for(1ms);
    ++seen;
  }
  void flush_() override {}
};

}  // namespace

TEST_CASE("what is posted is delivered in its order, and what it settles is counted") {
  const fresh_loggers loggers;
  auto& delivery = log_delivery::instance();
  const auto channel = std::make_shared<delivery_channel>(std::nullopt);
  for (int first = 0; first < 1000; first += 10) delivery.post(lines(channel, first, 10));
  delivery.wait_for(*channel, 1000);
  CHECK(channel->delivered == 1000);
  const auto texts = loggers.sink->texts();
  REQUIRE(texts.size() == 1000);
  for (int i = 0; i < 1000; ++i) REQUIRE(texts[static_cast<std::size_t>(i)] == std::to_string(i));
}

TEST_CASE("R1: a delivery that hangs is waited for a tenth of a second, once, and again when it has caught up") {
  const fresh_loggers loggers;
  const auto sink = std::make_shared<sleeping_sink>();
  spdlog::default_logger()->sinks() = {sink};
  auto& delivery = log_delivery::instance();
  const auto channel = std::make_shared<delivery_channel>(std::nullopt);
  sink->ms = 60'000;
  delivery.post(lines(channel, 0, 2));
  const auto start = watch::now();
  delivery.wait_for(*channel, 1);
  const auto once = watch::now() - start;
  for (int i = 0; i < 100; ++i) delivery.wait_for(*channel, 2);
  const auto often = watch::now() - start - once;
  CHECK(once > 50ms);
  CHECK(once < 600ms);
  CHECK(often < 50ms);
  CHECK(channel->delivered == 0);
  sink->ms = 1;
  REQUIRE(log_delivery::finish(watch::now() + 10s));
  CHECK(channel->delivered == 2);
  delivery.post(lines(channel, 2, 1));
  delivery.wait_for(*channel, 3);
  CHECK(channel->delivered == 3);
}

TEST_CASE("R1: a delivery that is slow but gets on is waited for half a second") {
  const fresh_loggers loggers;
  const auto sink = std::make_shared<sleeping_sink>();
  spdlog::default_logger()->sinks() = {sink};
  sink->ms = 20;
  auto& delivery = log_delivery::instance();
  const auto channel = std::make_shared<delivery_channel>(std::nullopt);
  delivery.post(lines(channel, 0, 10));
  delivery.wait_for(*channel, 10);
  CHECK(channel->delivered == 10);
  delivery.post(lines(channel, 0, 1000));
  const auto start = watch::now();
  delivery.wait_for(*channel, 1010);
  CHECK(watch::now() - start < 2s);
  CHECK(channel->delivered < 1010);
  sink->ms = 0;
  REQUIRE(log_delivery::finish(watch::now() + 10s));
}

TEST_CASE("R1: a full queue says so while it is being emptied, and drops when it is not") {
  const fresh_loggers loggers;
  const auto sink = std::make_shared<sleeping_sink>();
  spdlog::default_logger()->sinks() = {sink};
  sink->ms = 60'000;
  auto& delivery = log_delivery::instance();
  const auto channel = std::make_shared<delivery_channel>(std::nullopt);
  CHECK_FALSE(log_delivery::full());
  for (int i = 0; i < 50; ++i) delivery.post(lines(channel, 0, 1000));
  CHECK(log_delivery::full());
  CHECK_FALSE(log_delivery::overflows(false));
  const auto start = watch::now();
  while (log_delivery::full() && watch::now() - start < 10s) std::this_thread::sleep_for(5ms);
  CHECK(watch::now() - start > 250ms);
  CHECK(log_delivery::overflows(false));
  CHECK_FALSE(log_delivery::overflows(true));
  sink->ms = 0;
  REQUIRE(log_delivery::finish(watch::now() + 10s));
  CHECK_FALSE(log_delivery::overflows(false));
  CHECK(channel->delivered == 50'000);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("a program that gets no thread has its records delivered by whoever reads them") {
  const fresh_loggers loggers;
  CHECK(holds_in_child([&] {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlimit room{pages * 4096 + (rlim_t{4} << 20), RLIM_INFINITY};  // less than a stack
    if (::setrlimit(RLIMIT_AS, &room) != 0) return false;
    auto& delivery = log_delivery::instance();
    const auto channel = std::make_shared<delivery_channel>(std::nullopt);
    delivery.post(lines(channel, 0, 3));
    if (channel->delivered != 0) return false;
    delivery.help();
    return channel->delivered == 3 && loggers.sink->texts().size() == 3;
  }));
}
#endif
