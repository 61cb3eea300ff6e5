#include <lenskit/detail/dispatch/blame.hpp>
#include <lenskit/detail/dispatch/call.hpp>
#include <lenskit/error.hpp>
#include <lenskit/random.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace {

using namespace std::chrono_literals;
namespace d = lenskit::detail;

// A chunk of ten tasks from index 100 on, of which the first three are settled and all the others given to a worker.
struct held_chunk {
  held_chunk() {
    work->call = call;
    work->first_index = 100;
    work->count = work->limit = 10;
    work->settled = work->base = 3;
    call->out.add(work);
  }
  ~held_chunk() { call->out.abandon(); }  // they hold each other
  held_chunk(const held_chunk&) = delete;
  held_chunk& operator=(const held_chunk&) = delete;
  std::shared_ptr<d::call_state> call = std::make_shared<d::call_state>(
      d::call_plan(0, d::result_order::of_completion, d::next_call_seed()), std::size_t{1});
  std::shared_ptr<d::chunk> work = d::make_chunk();
};

d::worker_death died_with(std::uint32_t base, std::uint32_t finished, std::uint32_t started, std::uint32_t owned = 7) {
  d::worker_death death;
  death.room.resize(3);
  death.pid = 4711;
  death.will = {1, base, finished, started, owned, {}, 0};
  death.report.status.signal = 11;
  return death;
}

}  // namespace

TEST_CASE("what a dead worker had finished is settled, and the task that it ran is charged") {
  held_chunk held;
  d::blame of(1, 0, std::nullopt);
  auto death = died_with(0, 2, 3);
  of.settle(held.work, death, false);
  CHECK(held.work->settled == 6);
  REQUIRE(held.work->parts.size() == 2);
  CHECK(held.work->parts.front().first_index == 103);
  CHECK(held.work->parts.front().count == 2);
  try {
    std::rethrow_exception(held.work->parts.back().failure);
  } catch (const lenskit::worker_died& error) {
    CHECK(error.index() == 105);
    CHECK(error.worker_pid() == 4711);
    CHECK(error.signal() == 11);
  }
}

TEST_CASE("of a will only what has not been told yet is taken") {
  held_chunk held;
  d::blame of(1, 0, std::nullopt);
  held.work->settled = 5;  // two of the seven have been told
  auto death = died_with(1, 4, 4);
  of.settle(held.work, death, false);
  CHECK(held.work->settled == 7);
  REQUIRE(held.work->parts.size() == 1);
  CHECK(held.work->parts.front().skip == 1);
  CHECK(held.work->parts.front().count == 2);
}

TEST_CASE("a will that claims more than was given, or a task that was not the worker's, charges nobody wrongly") {
  held_chunk held;
  d::blame of(1, 0, std::nullopt);
  SECTION("more than was given") {
    auto death = died_with(0, 9, 9);
    death.will.started = 0;
    of.settle(held.work, death, false);
    CHECK(held.work->settled == 3);
  }
  SECTION("a task that was taken back") {
    auto death = died_with(0, 0, 1, 0);
    of.settle(held.work, death, false);
    CHECK(held.work->settled == 3);
  }
  SECTION("no task at all") {
    auto death = died_with(0, 0, 0);
    of.settle(held.work, death, false);
    CHECK(held.work->settled == 3);
  }
}

TEST_CASE("a late task is told of as late, and never run again") {
  held_chunk held;
  d::blame of(1, 5, 2s);
  auto death = died_with(0, 0, 1);
  of.settle(held.work, death, true);
  CHECK(held.work->settled == 4);
  CHECK_THROWS_AS(std::rethrow_exception(held.work->parts.back().failure), lenskit::task_timeout);
}

TEST_CASE("W7: three deaths for each worker in a row are too many, and a success starts anew") {
  d::blame of(2, 0, std::nullopt);
  for (int i = 0; i < 5; ++i) {
    d::worker_death death;
    death.summary = "death " + std::to_string(i);
    of.count(death, false);
  }
  CHECK_FALSE(of.hopeless());
  SECTION("one more") {
    d::worker_death death;
    of.count(death, false);
    REQUIRE(of.hopeless());
    try {
      std::rethrow_exception(of.verdict());
    } catch (const lenskit::broken_pool& error) {
      CHECK(error.causes().size() == 6);
      CHECK(error.causes().front() == "death 0");
      CHECK(std::string(error.what()).find("6 worker deaths in a row") != std::string::npos);
    }
  }
  SECTION("a success") {
    of.note_success();
    d::worker_death death;
    of.count(death, false);
    CHECK_FALSE(of.hopeless());
  }
  SECTION("what the pool did itself, for a late task") {
    d::worker_death death;
    death.ended_by_pool = true;
    of.count(death, true);
    CHECK_FALSE(of.hopeless());
    of.count(death, false);
    CHECK(of.hopeless());
  }
}

TEST_CASE("only the last ten causes are remembered") {
  d::blame of(100, 0, std::nullopt);
  for (int i = 0; i < 25; ++i) {
    d::worker_death death;
    death.summary = std::to_string(i);
    of.count(death, false);
  }
  try {
    std::rethrow_exception(of.verdict("enough"));
  } catch (const lenskit::broken_pool& error) {
    CHECK(error.causes().size() == 10);
    CHECK(error.causes().front() == "15");
    CHECK(error.causes().back() == "24");
  }
}

TEST_CASE("three lost spawners in a row are too many") {
  d::blame of(8, 0, std::nullopt);
  for (int i = 0; i < 2; ++i) of.count_lost_spawner();
  CHECK_FALSE(of.hopeless());
  of.note_success();
  for (int i = 0; i < 3; ++i) of.count_lost_spawner();
  CHECK(of.hopeless());
}
