#include <lenskit/detail/dispatch/overdue.hpp>
#include <lenskit/detail/dispatch/pace.hpp>

#include <support/catch.hpp>
#include <support/scripted_engine.hpp>

#include <chrono>
#include <cstdint>
#include <memory>

namespace {

using namespace std::chrono_literals;
using lenskit::tests::scripted_engine;
namespace d = lenskit::detail;

d::steady::time_point at(std::chrono::nanoseconds time) { return d::steady::time_point(time); }

// One worker that runs the first task of a chunk since `clock`.
struct running {
  running() {
    d::assignment work;
    work.chunk = 7;
    work.count = 3;
    work.plan = std::make_shared<d::call_plan>(0, d::result_order::of_input, d::next_call_seed());
    d::order given{0, std::move(work)};
    engine.send(std::span(&given, 1));
    engine.begin(0);
  }
  scripted_engine engine{{.workers = 1}};
  d::steady::time_point started = scripted_engine::now();
};

}  // namespace

TEST_CASE("a task is late when its time is over, and told of until that is noted") {
  running pool;
  d::overdue of(1, 1s);
  std::ignore = of.stall_look_due(pool.started);
  CHECK(of.next_look(pool.engine, pool.started) == pool.started + 500ms);  // to look for stalls
  CHECK_FALSE(of.late_task(pool.engine, 0, pool.started + 1s - 1ns));
  const auto late = of.late_task(pool.engine, 0, pool.started + 1s);
  REQUIRE(late);
  CHECK(late->chunk == 7);
  CHECK(of.late_task(pool.engine, 0, pool.started + 1s));
  CHECK_FALSE(of.was_late(0));
  of.note_late(0, *late);
  CHECK_FALSE(of.late_task(pool.engine, 0, pool.started + 1s));
  CHECK(of.was_late(0));
  CHECK(of.was_late(0, 7, 0));
  CHECK_FALSE(of.was_late(0, 7, 1));
  CHECK_FALSE(of.was_late(0, 8, 0));
  of.reset(0);
  CHECK_FALSE(of.was_late(0));
}

TEST_CASE("without a timeout no task is late") {
  running pool;
  d::overdue of(1, std::nullopt);
  CHECK_FALSE(of.late_task(pool.engine, 0, d::steady::time_point::max()));
}

TEST_CASE("K2: an absence gives a task what of it the task has lived through") {
  running pool;
  d::overdue of(1, 1s);
  const auto t = pool.started;
  SECTION("all of it") {
    of.note_absence(t + 100ms, t + 200ms, t + 20s);
    CHECK_FALSE(of.late_task(pool.engine, 0, t + 20s + 899ms));
    CHECK(of.late_task(pool.engine, 0, t + 20s + 900ms));
  }
  SECTION("a part") {
    of.note_absence(t - 10s, t - 5s, t + 300ms);
    CHECK_FALSE(of.late_task(pool.engine, 0, t + 1299ms));
    CHECK(of.late_task(pool.engine, 0, t + 1300ms));
  }
  SECTION("nothing") {
    of.note_absence(t - 10s, t - 5s, t);
    CHECK(of.late_task(pool.engine, 0, t + 1s));
  }
  SECTION("what is shorter than a moment is no absence") {
    of.note_absence(t, t + 100ms, t + 199ms);
    CHECK(of.late_task(pool.engine, 0, t + 1s));
  }
  SECTION("however many there were") {
    for (int i = 0; i < 50; ++i) of.note_absence(t + i * 1s, t + i * 1s + 1ms, t + (i + 1) * 1s);
    CHECK_FALSE(of.late_task(pool.engine, 0, t + 51s - 1ns));
    CHECK(of.late_task(pool.engine, 0, t + 51s));
  }
}

TEST_CASE("a worker stands still if it is seen the same at three looks in a row, with work to do") {
  scripted_engine engine({.workers = 1});
  d::overdue of(1, std::nullopt);
  CHECK(of.stall_look_due(at(0s)));
  CHECK_FALSE(of.stall_look_due(at(5s) - 1ns));
  CHECK(of.stall_look_due(at(5s)));
  for (int i = 0; i < 10; ++i) CHECK_FALSE(of.stalled(engine, 0, false));
  CHECK_FALSE(of.stalled(engine, 0, true));
  CHECK_FALSE(of.stalled(engine, 0, true));
  SECTION("then it is told, and again after as long") {
    CHECK(of.stalled(engine, 0, true));
    CHECK_FALSE(of.stalled(engine, 0, true));
    CHECK(of.stalled(engine, 0, true));
  }
  SECTION("but not across an absence") {
    of.note_absence(at(0s), at(5s), at(6s));
    CHECK_FALSE(of.stalled(engine, 0, true));
    CHECK_FALSE(of.stalled(engine, 0, false));
    CHECK_FALSE(of.stalled(engine, 0, true));
  }
}
