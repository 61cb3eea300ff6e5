// The failure R2: what the pool calls of the user calls the pool.
#include <lenskit/invoker.hpp>

#include <support/engines.hpp>
#include <support/reporting_child.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <ranges>
#include <string>
#include <thread>

using namespace lenskit;
using namespace lenskit::detail;
using namespace lenskit::tests;
using namespace std::chrono_literals;

namespace {

enum class pool_call { map, as_completed, map_outcomes, shutdown };

// Does something once, whoever asks.
class once {
 public:
  void arm(std::function<void()> what) {
    what_ = std::move(what);
    armed_ = true;
  }
  void fire() {
    if (armed_.exchange(false)) {
      try {
        what_();
      } catch (const invoker_closed&) {}
      fired_ = true;
    }
  }
  [[nodiscard]] bool fired() const { return fired_; }

 private:
  std::function<void()> what_;
  std::atomic<bool> armed_{false}, fired_{false};
};

class calling_sink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit calling_sink(once& what) : what_(what) {}

 private:
  void sink_it_(const spdlog::details::log_msg&) override { what_.fire(); }
  void flush_() override {}
  once& what_;
};

class calling_progress final : public progress {
 public:
  explicit calling_progress(once& what) : what_(what) {}
  void update(int n, std::string_view state, std::string_view from) override {
    progress::update(n, state, from);
    if (state == "finished") what_.fire();
  }

 private:
  once& what_;
};

template <class Invoker>
void make_call(Invoker& inv, pool_call which) {
  const auto inputs = std::views::iota(1000, 1020);
  switch (which) {
    case pool_call::map:
      if (inv.map(inputs).collect().size() != 20) throw std::runtime_error("map lost results");
      break;
    case pool_call::as_completed:
      for ([[maybe_unused]] const auto& each : inv.as_completed(inputs)) {}
      break;
    case pool_call::map_outcomes:
      for ([[maybe_unused]] const auto& each : inv.map_outcomes(inputs)) {}
      break;
    case pool_call::shutdown: inv.shutdown(); break;
  }
}

}  // namespace

TEST_CASE("R2: a sink or a progress callback may call the pool that called it", "[no_tsan]") {
  ON_EVERY_ENGINE(engine);
  const auto which = GENERATE(pool_call::map, pool_call::as_completed, pool_call::map_outcomes, pool_call::shutdown);
  const bool in_sink = GENERATE(true, false);
  CAPTURE(static_cast<int>(which), in_sink);
  const fresh_loggers loggers;
  once callback;
  spdlog::default_logger()->sinks() = {std::make_shared<calling_sink>(callback)};
  auto options = on(engine);
  if (!in_sink) options.progress = std::make_shared<calling_progress>(callback);
  invoker inv(
      0,
      [in_sink](int, int x) {
        if (in_sink && x == 5) spdlog::error("five");
        std::this_thread::sleep_for(100us);
        return x;
      },
      options);
  const auto start = std::chrono::steady_clock::now();
  callback.arm([&] { make_call(inv, which); });
  std::size_t results = 0;
  bool closed = false;
  try {
    for ([[maybe_unused]] const int x : inv.map(std::views::iota(0, 400))) ++results;
  } catch (const invoker_closed&) {
    closed = true;
  }
  CHECK((results == 400 || (closed && which == pool_call::shutdown)));
  inv.shutdown();
  CHECK(std::chrono::steady_clock::now() - start < 4s);
  REQUIRE(log_delivery::finish(std::chrono::steady_clock::now() + 5s));
  CHECK(callback.fired());
}

TEST_CASE("R2: a sink that maps for each record of a storm does not stop the pool", "[no_tsan]") {
  const fresh_loggers loggers;
  struct mapping_sink final : spdlog::sinks::sink {
    std::function<void()> map;
    std::atomic<int> calls{0};
    void log(const spdlog::details::log_msg&) override {
      if (++calls <= 200) map();
    }
    void flush() override {}
    void set_pattern(const std::string&) override {}
    void set_formatter(std::unique_ptr<spdlog::formatter>) override {}
  };
  const auto sink = std::make_shared<mapping_sink>();
  spdlog::default_logger()->sinks() = {sink};
  invoker inv(
      0,
      [](int, int x) {
        if (x >= 0) spdlog::error("{}", x);
        return x;
      },
      on(engine::processes));
  std::atomic<int> mapped{0};
  sink->map = [&] { mapped += static_cast<int>(inv.map(std::vector{-1, -2}).collect().size()); };
  CHECK(inv.map(std::views::iota(0, 200)).collect().size() == 200);
  REQUIRE(log_delivery::finish(std::chrono::steady_clock::now() + 10s));
  CHECK(mapped == 400);
}
