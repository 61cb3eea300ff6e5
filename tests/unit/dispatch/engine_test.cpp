#include <lenskit/detail/dispatch/engine.hpp>

#include <support/catch.hpp>
#include <support/scripted_engine.hpp>

#include <cstddef>
#include <cstring>
#include <memory>
#include <thread>

namespace {

namespace d = lenskit::detail;
using lenskit::tests::scripted_engine;

}  // namespace

TEST_CASE("a thread serves the engines whose tasks it runs, however they nest, and no other") {
  const scripted_engine outer({.workers = 1});
  const scripted_engine inner({.workers = 1});
  CHECK_FALSE(d::serves_here(outer));
  {
    const d::serving_scope first(outer);
    CHECK_FALSE(d::serves_here(inner));
    {
      const d::serving_scope second(inner);
      CHECK(d::serves_here(outer));
      CHECK(d::serves_here(inner));
      bool elsewhere = true;
      std::thread([&] { elsewhere = d::serves_here(outer) || d::serves_here(inner); }).join();
      CHECK_FALSE(elsewhere);
    }
    CHECK(d::serves_here(outer));
    CHECK_FALSE(d::serves_here(inner));
  }
  CHECK_FALSE(d::serves_here(outer));
}

TEST_CASE("an event of results is made with its one part, to be filled without memory") {
  const auto made = d::make_results_event();
  REQUIRE(made.size() == 1);
  REQUIRE(made.front().part.size() == 1);
  CHECK(made.front().part.front().count == 0);
}

TEST_CASE("what a living worker has finished and not sent is told as results whose time is not known") {
  auto block = std::make_unique<d::journal_block>();
  block->reset();
  CHECK(d::harvest(*block, 3, 4711).empty());
  block->claims[0].open(5);
  block->claims[0].finished = 4;
  block->started = 5;
  block->base = 2;
  const d::run_head run{2, d::run_kind::values};
  const int values[] = {20, 30};
  std::memcpy(block->results, &run, sizeof run);
  std::memcpy(block->results + sizeof run, values, sizeof values);
  block->runs.bytes = sizeof run + sizeof values;
  block->chunk = 9;
  const auto found = d::harvest(*block, 3, 4711);
  REQUIRE(found.size() == 1);
  const auto& event = found.front();
  CHECK(event.worker == 3);
  CHECK(event.head.chunk == 9);
  CHECK(event.head.offset == 2);
  CHECK(event.head.count == 2);
  CHECK(event.head.elapsed_ns == -1);
  CHECK(event.part.front().count == 2);
  CHECK(event.part.front().worker_pid == 4711);
  CHECK(event.part.front().runs().size() == sizeof run + sizeof values);
  block->sending = 1;  // they are on their way
  CHECK(d::harvest(*block, 3, 4711).empty());
}
