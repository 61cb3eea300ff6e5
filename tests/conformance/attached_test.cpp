// Results that are more than bytes: stored models, whose descriptors travel beside them.
#include <lenskit/invoker.hpp>
#include <lenskit/persist.hpp>
#include <lenskit/run_sp.hpp>
#include <lenskit/shared_array.hpp>

#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/shared_counters.hpp>

#include <unistd.h>

#include <cstddef>
#include <ranges>
#include <utility>
#include <vector>

namespace {

using lenskit::invoker;
using lenskit::persisted_model;
using lenskit::tests::on;
using lenskit::tests::shared_counters;

struct numbers {
  lenskit::shared_array<int> all;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& all;
  }
};

persisted_model<numbers> stored(int x) {
  auto made = lenskit::persist(numbers{std::vector<int>(100, x)});
  made.transfer();
  return made;
}

int first_of(persisted_model<numbers>& model) { return model.get().all[0]; }

}  // namespace

TEST_CASE("X1: a result may hold any number of models", "[no_tsan]") {
  const int count = GENERATE(1, 16, 17, 300);
  shared_counters runs(1);
  auto all = lenskit::run_sp([&] {
    ++runs[0];
    std::vector<persisted_model<numbers>> made;
    for (int i = 0; i < count; ++i) made.push_back(stored(i));
    return made;
  });
  CHECK(runs[0] == 1);
  REQUIRE(all.size() == static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) REQUIRE(first_of(all[static_cast<std::size_t>(i)]) == i);
}

TEST_CASE("X1: each of many tasks returns its own model") {
  ON_EVERY_ENGINE(engine);
  auto options = on(engine);
  options.buffer_size = 100;
  invoker inv(
      0, [](int, int x) { return stored(x); }, options);
  int index = 0;
  for (auto& each : inv.map(std::views::iota(0, 500))) REQUIRE(first_of(each) == index++);
  CHECK(index == 500);
}

TEST_CASE("X1: a crash costs no model of a finished task", "[no_tsan]") {
  auto options = on(lenskit::engine::processes, 1);
  options.chunk_size = 8;
  invoker inv(
      0,
      [](int, int x) {
        if (x == 6) ::_exit(1);
        return stored(x);
      },
      options);
  int index = 0;
  for (auto& each : inv.map_outcomes(std::views::iota(0, 8))) {
    INFO("task " << index);
    CHECK(each.has_value() == (index != 6));
    if (each.has_value()) CHECK(first_of(each.value()) == index);
    ++index;
  }
  CHECK(index == 8);
}

TEST_CASE("X1: a result that cannot be stored takes no model of its neighbours along") {
  ON_EVERY_ENGINE(engine);
  auto options = on(engine, 1);
  options.chunk_size = 4;
  invoker inv(
      0,
      [](int, int x) {
        auto made = stored(x);
        if (x == 1) made.close();  // which cannot be sent
        return made;
      },
      options);
  int index = 0;
  for (auto& each : inv.map_outcomes(std::views::iota(0, 4))) {
    INFO("task " << index);
    CHECK(each.has_value() == (index != 1));
    if (each.has_value()) CHECK(first_of(each.value()) == index);
    ++index;
  }
}

TEST_CASE("X1: models that nobody takes are gone with their range") {
  ON_EVERY_ENGINE(engine);
  invoker inv(
      0, [](int, int x) { return stored(x); }, on(engine));
  {
    auto range = inv.map(std::views::iota(0, 100));
    CHECK(first_of(*range.begin()) == 0);
  }  // the test fails if a descriptor or a mapping is left
}
