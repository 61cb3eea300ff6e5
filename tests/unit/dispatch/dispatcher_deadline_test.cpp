#include <lenskit/detail/dispatch/dispatcher.hpp>
#include <lenskit/detail/dispatch/pace.hpp>
#include <lenskit/error.hpp>

#include <support/catch.hpp>
#include <support/scripted_pool.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using lenskit::tests::scripted_engine;
using lenskit::tests::scripted_pool;
namespace d = lenskit::detail;

using strings = std::vector<std::string>;

constexpr d::engine_traits one_worker{.workers = 1, .can_stop_tasks = true};

}  // namespace

TEST_CASE("a task that takes too long is ended and told of, and those behind it run elsewhere") {
  scripted_pool pool(one_worker, {.task_timeout = 1s, .max_retries = 3});
  auto call = pool.open();
  pool.submit(call, 3);
  pool.submit(call, 2);
  pool.engine.then([&] { pool.engine.run(0, 1); });
  pool.engine.then([&] {
    pool.engine.begin(0);
    pool.engine.last(999ms);
  });
  pool.engine.then([&] {
    CHECK_FALSE(pool.engine.of[0].ended);
    pool.engine.last(2ms);
  });
  pool.engine.then([&] {
    CHECK(pool.engine.of[0].ended == d::ending::late);
    CHECK(pool.engine.of[0].has.size() == 1);
    CHECK(pool.engine.of[0].has.front().limit == 2);
    pool.engine.die(0);
  });
  std::size_t started = 0;
  pool.engine.on_wait = [&](d::manner) {
    if (pool.engine.of[0].ended) started = pool.core.counts(*call).started;
  };
  CHECK(pool.outcomes(call) == strings{"0", "1 late", "2", "3", "4"});
  CHECK(started == 2);
  CHECK(pool.most_runs() == 1);
}

TEST_CASE("the leader is there when a deadline passes, and not before") {
  scripted_pool pool(one_worker, {.task_timeout = 1s});
  auto call = pool.open();
  pool.submit(call, 1);
  pool.engine.works_by_itself = false;
  std::int64_t began = 0;
  pool.engine.then([&] {
    pool.engine.begin(0);
    began = scripted_engine::clock;
  });
  pool.engine.on_wait = [&](d::manner) {
    if (!pool.engine.of[0].ended) return;
    CHECK(scripted_engine::clock - began == (1s / 1ns));
    pool.engine.then([&] { pool.engine.die(0); });
  };
  CHECK(pool.outcomes(call) == strings{"0 late"});
  CHECK(pool.engine.waits < 10);
}

TEST_CASE("K1: a task that ends as its deadline passes is not run twice, and neither is the one behind it") {
  const bool told = GENERATE(true, false);  // before it dies
  scripted_pool pool(one_worker, {.task_timeout = 1s});
  auto call = pool.open();
  pool.submit(call, 3);
  pool.engine.then([&] {
    pool.engine.begin(0);
    pool.engine.last(1001ms);
  });
  pool.engine.then([&] {
    REQUIRE(pool.engine.of[0].ended == d::ending::late);
    pool.engine.finish(0);
    if (told) pool.engine.send(0);
  });
  pool.engine.then([&] { pool.engine.die(0); });
  CHECK(pool.outcomes(call) == strings{"0", "1", "2"});
  CHECK(pool.most_runs() == 1);
}

TEST_CASE("K1: a worker that went on just before it was to be ended is left alone") {
  scripted_pool pool(one_worker, {.task_timeout = 1s});
  auto call = pool.open();
  pool.submit(call, 3);
  pool.engine.then([&] {
    pool.engine.begin(0);
    pool.engine.last(1001ms);
    pool.engine.on_take_back = [&] {
      pool.engine.finish(0);
      pool.engine.begin(0);
    };
  });
  CHECK(pool.outcomes(call) == strings{"0", "1", "2"});
  CHECK_FALSE(pool.engine.of[0].ended);
  CHECK(pool.most_runs() == 1);
}

TEST_CASE("deaths for being late are no proof against the pool, however many") {
  scripted_pool pool(one_worker, {.task_timeout = 1s});
  auto call = pool.open();
  strings expected;
  for (int i = 0; i < 10; ++i) {
    pool.submit(call, 1);
    expected.push_back(std::to_string(i) + " late");
    pool.engine.then([&] {
      pool.engine.begin(0);
      pool.engine.last(1001ms);
    });
    pool.engine.then([&] { pool.engine.die(0); });
  }
  CHECK(pool.outcomes(call) == expected);
}

TEST_CASE("K2: time in which nobody could look is no task's") {
  scripted_pool pool(one_worker, {.task_timeout = 1s});
  auto call = pool.open();
  pool.submit(call, 2);
  const int absences = GENERATE(1, 8, 9, 30);
  pool.engine.then([&] { pool.engine.begin(0); });
  for (int i = 0; i < absences; ++i) {
    pool.engine.then([&] { pool.engine.last(2ms); });
    pool.engine.then([] { scripted_engine::stop_everything(20s); });  // the leader meant to be back long before
  }
  pool.engine.then([&] { CHECK_FALSE(pool.engine.of[0].ended); });
  CHECK(pool.outcomes(call) == strings{"0", "1"});
}

TEST_CASE("K2: a program that is stopped just after it has given out work blames nobody") {
  scripted_pool pool(one_worker, {.task_timeout = 1s});
  auto call = pool.open();
  pool.submit(call, 1);
  CHECK(pool.outcomes(call) == strings{"0"});
  scripted_engine::stop_everything(1h);  // idle
  pool.submit(call, 1);
  pool.engine.begin(0);
  scripted_engine::stop_everything(20s);
  pool.engine.then([&] { CHECK_FALSE(pool.engine.of[0].ended); });
  CHECK(pool.outcomes(call) == strings{"1"});
}

TEST_CASE("K2: an absence does not give time to tasks that began after it") {
  scripted_pool pool(one_worker, {.task_timeout = 1s});
  auto call = pool.open();
  pool.submit(call, 2);
  pool.engine.then([&] { pool.engine.begin(0); });
  pool.engine.then([] { scripted_engine::stop_everything(20s); });
  pool.engine.then([&] {
    pool.engine.finish(0);
    pool.engine.send(0);
    pool.engine.begin(0);
    pool.engine.last(1001ms);
  });
  pool.engine.then([&] {
    CHECK(pool.engine.of[0].ended);
    pool.engine.die(0);
  });
  CHECK(pool.outcomes(call) == strings{"0", "1 late"});
}

TEST_CASE("K5: a deadline beyond what the clock can say never passes") {
  scripted_pool pool(one_worker, {.task_timeout = std::chrono::nanoseconds::max()});
  auto call = pool.open();
  pool.submit(call, 1);
  pool.engine.then([&] {
    pool.engine.begin(0);
    pool.engine.last(3h);
  });
  CHECK(pool.outcomes(call) == strings{"0"});
}

// ---- stalls --------------------------------------------------------------------------------------------------------

TEST_CASE("a worker that has work and stands still is ended, and what it has is given to others") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 2);
  pool.engine.works_by_itself = false;
  std::int64_t ended_at = 0;
  const std::int64_t begun = scripted_engine::clock;
  pool.engine.on_wait = [&](d::manner) {
    if (!pool.engine.of[0].ended) return;
    CHECK(pool.engine.of[0].ended == d::ending::stalled);
    ended_at = scripted_engine::clock;
    pool.engine.works_by_itself = true;
    pool.engine.then([&] { pool.engine.die(0); });
  };
  CHECK(pool.outcomes(call) == strings{"0", "1"});
  const std::chrono::nanoseconds took(ended_at - begun);
  CHECK(took >= d::pace::stall_patience(std::nullopt));
  CHECK(took <= 2 * d::pace::stall_patience(std::nullopt));
  CHECK(pool.most_runs() == 1);
}

TEST_CASE("workers that only ever stand still break the pool") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 1);
  pool.engine.works_by_itself = false;
  pool.engine.on_wait = [&](d::manner) {
    if (pool.engine.of[0].ended) pool.engine.then([&] { pool.engine.die(0); });
  };
  CHECK(pool.outcomes(call) == strings{"0 broken"});
}

TEST_CASE("K1: a worker that begins a task just before it was to be ended for standing still is left alone") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 2);
  pool.engine.works_by_itself = false;
  pool.engine.on_take_back = [&] {
    pool.engine.begin(0);
    pool.engine.works_by_itself = true;
  };
  CHECK(pool.outcomes(call) == strings{"0", "1"});
  CHECK_FALSE(pool.engine.of[0].ended);
}

TEST_CASE("a worker that is in a task never stalls, and one that gets on neither") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 8);
  pool.engine.then([&] { pool.engine.begin(0); });
  for (int i = 0; i < 5; ++i) pool.engine.then([&] { pool.engine.last(9s); });
  pool.engine.then([&] {
    pool.engine.finish(0);
    pool.engine.send(0);
  });
  for (int i = 0; i < 5; ++i) {
    pool.engine.then([&] { pool.engine.last(9s); });
    pool.engine.then([&] { pool.engine.run(0, 1); });
  }
  CHECK(pool.outcomes(call).size() == 8);
  CHECK_FALSE(pool.engine.of[0].ended);
}
