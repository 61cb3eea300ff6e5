#include <lenskit/invoker.hpp>
#include <lenskit/progress.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>

#include <unistd.h>

#include <memory>
#include <mutex>
#include <ranges>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

using lenskit::invoker;
using lenskit::tests::on;

namespace {

// Checks with each update that no state ever holds less than nothing.
class watched_progress final : public lenskit::progress {
 public:
  using progress::progress;
  void update(int n, std::string_view state, std::string_view from) override {
    const std::lock_guard held(mutex_);
    progress::update(n, state, from);
    for (const auto& [name, number] : counts()) negative_ |= number < 0;
    arrived_ += state == finished_state ? n : 0;
  }
  [[nodiscard]] bool went_negative() const { return negative_; }
  [[nodiscard]] int arrived() const { return arrived_; }

 private:
  std::mutex mutex_;
  bool negative_ = false;
  int arrived_ = 0;
};

}  // namespace

TEST_CASE("when a call has ended, all of its tasks are finished and in no other state") {
  ON_EVERY_ENGINE(engine);
  const int count = GENERATE(0, 1, 1000);
  const auto bar = std::make_shared<watched_progress>("tasks", 1000);
  auto options = on(engine);
  options.progress = bar;
  invoker inv(
      0, [](int, int x) { return x; }, options);
  CHECK(inv.map(std::views::iota(0, count)).collect().size() == static_cast<std::size_t>(count));
  CHECK(bar->count() == count);
  CHECK(bar->count("dispatched") == 0);
  CHECK(bar->count("in-progress") == 0);
  CHECK(bar->arrived() == count);
  CHECK_FALSE(bar->went_negative());
}

TEST_CASE("tasks are counted while a call runs, and there are never more than were pulled") {
  ON_EVERY_ENGINE(engine);
  const auto bar = std::make_shared<watched_progress>("tasks");
  auto options = on(engine);
  options.progress = bar;
  options.buffer_size = 8;
  invoker inv(
      0, [](int, int x) { return x; }, options);
  int yielded = 0;
  for ([[maybe_unused]] const int result : inv.map(std::views::iota(0, 100))) {
    ++yielded;
    const auto all = bar->count() + bar->count("dispatched") + bar->count("in-progress");
    CHECK(all >= yielded);
    CHECK(all <= yielded + 8);
    CHECK(bar->count() >= yielded);
  }
  CHECK_FALSE(bar->went_negative());
}

TEST_CASE("failed tasks are finished too") {
  ON_EVERY_ENGINE(engine);
  const auto bar = std::make_shared<watched_progress>("tasks");
  auto options = on(engine);
  options.progress = bar;
  invoker inv(
      0,
      [](int, int x) {
        if (x % 2 == 0) throw std::runtime_error("even");
      },
      options);
  for ([[maybe_unused]] const auto& each : inv.map_outcomes(std::views::iota(0, 50))) {}
  for ([[maybe_unused]] const auto& each : inv.as_completed(std::views::iota(0, 50))) {}
  CHECK(bar->count() == 100);
  CHECK(bar->count("dispatched") == 0);
  CHECK(bar->count("in-progress") == 0);
}

TEST_CASE("a progress that throws does not disturb the call") {
  ON_EVERY_ENGINE(engine);
  struct throwing final : lenskit::progress {
    void update(int, std::string_view, std::string_view) override { throw std::runtime_error("no window"); }
  };
  auto options = on(engine);
  options.progress = std::make_shared<throwing>();
  invoker inv(
      0, [](int, int x) { return x; }, options);
  CHECK(inv.map(std::views::iota(0, 5)).collect() == std::vector{0, 1, 2, 3, 4});
}

TEST_CASE("a bar made before the invoker counts the items of all workers together") {
  ON_EVERY_ENGINE(engine);
  const auto bar = lenskit::item_progress("items");
  {
    invoker inv(
        0, [bar](int, int x) { bar->update(x); }, on(engine));
    std::ignore = inv.map(std::vector{1, 2, 3, 4}).collect();
  }
  CHECK(bar->count() == 10);
}

#ifndef __SANITIZE_THREAD__
TEST_CASE("tasks that are run again after a death are counted once", "[no_tsan]") {
  const auto bar = std::make_shared<watched_progress>("tasks");
  auto options = on(lenskit::engine::processes);
  options.progress = bar;
  options.chunk_size = 10;
  invoker inv(
      0,
      [](int, int x) {
        if (x % 25 == 7) _exit(1);
      },
      options);
  for ([[maybe_unused]] const auto& each : inv.map_outcomes(std::views::iota(0, 100))) {}
  CHECK(bar->count() == 100);
  CHECK(bar->count("dispatched") == 0);
  CHECK(bar->count("in-progress") == 0);
  CHECK_FALSE(bar->went_negative());
}
#endif
