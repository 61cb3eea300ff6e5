#include <lenskit/invoker.hpp>
#include <lenskit/random.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>

#include <cstdint>
#include <random>
#include <ranges>
#include <set>
#include <stdexcept>
#include <tuple>
#include <vector>

using lenskit::invoker;
using lenskit::tests::on;

namespace {

using bits = std::vector<std::uint32_t>;

bits bits_of_task(int, int) { return lenskit::task_seed().generate_state(4); }

// The seeds of two map calls after `init_rng`.
std::vector<bits> seeds_of_two_calls(const lenskit::invoker_options& options) {
  lenskit::init_rng(20260101);
  invoker inv(0, bits_of_task, options);
  auto all = inv.map(std::views::iota(0, 40)).collect();
  for (auto& each : inv.map(std::views::iota(0, 40))) all.push_back(each);
  return all;
}

}  // namespace

TEST_CASE("tasks have the same seeds with every engine, number of workers and chunk size") {
  static const auto expected = seeds_of_two_calls(on(lenskit::engine::in_process, 1));
  ON_EVERY_ENGINE(engine);
  const int n_jobs = GENERATE(1, 2, 3, 5, 8);
  auto options = on(engine, n_jobs);
  options.chunk_size = GENERATE(0U, 1U, 7U);
  CHECK(seeds_of_two_calls(options) == expected);
}

TEST_CASE("all tasks of all calls have different seeds") {
  ON_EVERY_ENGINE(engine);
  const auto seeds = seeds_of_two_calls(on(engine));
  const std::set<bits> different(seeds.begin(), seeds.end());
  CHECK(seeds.size() == 80);
  CHECK(different.size() == seeds.size());
}

TEST_CASE("another root seed gives other tasks other seeds, and the same one the same again") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, bits_of_task, on(engine));
  const auto seeds = [&inv](std::uint64_t root) {
    lenskit::init_rng(root);
    return inv.map(std::views::iota(0, 5)).collect();
  };
  const auto first = seeds(1);
  CHECK(seeds(2) != first);
  CHECK(seeds(1) == first);
}

TEST_CASE("the seed of a task does not depend on which others fail or are read") {
  ON_EVERY_ENGINE(engine);
  lenskit::init_rng(7);
  const auto expected =
      invoker(0, bits_of_task, on(lenskit::engine::in_process)).map(std::views::iota(0, 30)).collect();
  lenskit::init_rng(7);
  invoker inv(
      0,
      [](int, int x) {
        if (x % 3 == 0) throw std::runtime_error("every third");
        return bits_of_task(0, x);
      },
      on(engine));
  std::size_t index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 30))) {
    if (each.has_value()) CHECK(*each == expected[index]);
    ++index;
  }
}

TEST_CASE("derived seeds inside a task are its own, and keyed ones those of the program") {
  ON_EVERY_ENGINE(engine);
  lenskit::init_rng(99);
  const auto keyed = lenskit::derive_seed("split", 3).generate_state(2);
  invoker inv(
      0,
      [keyed](int, int) {
        const auto first = lenskit::derive_seed();
        const auto second = lenskit::derive_seed();
        auto key = lenskit::task_seed().spawn_key();
        key.push_back(0);
        return first.spawn_key() == key && first != second &&
               lenskit::derive_seed("split", 3).generate_state(2) == keyed;
      },
      on(engine));
  for (const bool right : inv.map(std::vector<int>(20))) CHECK(right);
}

TEST_CASE("outside of a task there is no task seed") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, bits_of_task, on(engine));
  CHECK(inv.map(std::vector{1}).collect().size() == 1);
  CHECK_THROWS_AS(lenskit::task_seed(), std::logic_error);
}
