#include <lenskit/detail/dispatch/dispatcher.hpp>
#include <lenskit/error.hpp>

#include <support/catch.hpp>
#include <support/scripted_pool.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using lenskit::tests::scripted_engine;
using lenskit::tests::scripted_pool;
namespace d = lenskit::detail;

using strings = std::vector<std::string>;

}  // namespace

// ---- order ---------------------------------------------------------------------------------------------------------

TEST_CASE("results come in the order of the input, whichever worker is faster") {
  scripted_pool pool({.workers = 2});
  auto call = pool.open();
  for (int i = 0; i < 3; ++i) pool.submit(call, 2);
  pool.engine.then([&] {
    pool.engine.run(1, 2);
    pool.engine.run(1, 2);
  });
  pool.engine.then([&] { pool.engine.run(0, 1); });
  CHECK(pool.outcomes(call) == strings{"0", "1", "2", "3", "4", "5"});
}

TEST_CASE("as they are completed, results come at once") {
  scripted_pool pool({.workers = 2});
  auto call = pool.open(d::result_order::of_completion);
  for (int i = 0; i < 2; ++i) pool.submit(call, 2);
  pool.engine.then([&] { pool.engine.run(1, 1); });
  pool.engine.then([&] { pool.engine.run(0, 1); });
  pool.engine.then([&] { pool.engine.run(1, 1); });
  CHECK(pool.outcomes(call) == strings{"2", "0", "3", "1"});
}

TEST_CASE("calls share the workers, and each gets its own results") {
  scripted_pool pool({.workers = 2});
  auto one = pool.open();
  auto other = pool.open(d::result_order::of_completion);
  for (int i = 0; i < 5; ++i) {
    pool.submit(one, 1);
    pool.submit(other, 2);
  }
  CHECK(pool.outcomes(other).size() == 10);
  CHECK(pool.outcomes(one) == strings{"0", "1", "2", "3", "4"});
}

TEST_CASE("a task that could not be submitted fails in its place") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 1);
  pool.submit_failed(call, std::make_exception_ptr(std::runtime_error("too bad")));
  pool.submit(call, 1);
  CHECK(pool.outcomes(call) == strings{"0", "1: too bad", "2"});
}

// ---- deaths --------------------------------------------------------------------------------------------------------

TEST_CASE("W1: a death costs the task that ran, and what was finished and unsent is not lost") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 5);
  pool.engine.then([&] {
    for (int i = 0; i < 2; ++i) pool.engine.begin(0), pool.engine.finish(0);
    pool.engine.begin(0);
    pool.engine.die(0);
  });
  CHECK(pool.outcomes(call) == strings{"0", "1", "2 died", "3", "4"});
  CHECK(pool.most_runs() == 1);
}

TEST_CASE("W1: a worker that dies between tasks, or before its first, costs nothing") {
  const auto at = GENERATE(0, 1, 3);
  scripted_pool pool({.workers = 2});
  auto call = pool.open();
  for (int i = 0; i < 3; ++i) pool.submit(call, 3);
  pool.engine.then([&] {
    for (int i = 0; i < at; ++i) pool.engine.begin(0), pool.engine.finish(0);
    pool.engine.die(0);
  });
  CHECK(pool.outcomes(call) == strings{"0", "1", "2", "3", "4", "5", "6", "7", "8"});
  CHECK(pool.most_runs() == 1);
}

TEST_CASE("W1: what a dead worker had beside its task is run in the old order") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open(d::result_order::of_completion);
  pool.submit(call, 2);
  pool.submit(call, 2);
  pool.engine.then([&] {
    pool.engine.begin(0);
    pool.engine.die(0);
  });
  CHECK(pool.outcomes(call) == strings{"0 died", "1", "2", "3"});
}

TEST_CASE("a task whose worker dies is run again as often as it may, and what is behind it once") {
  scripted_pool pool({.workers = 1}, {.max_retries = 2});
  auto call = pool.open();
  pool.submit(call, 3);
  const int deaths = GENERATE(1, 2, 3);
  for (int i = 0; i < deaths; ++i) {
    pool.engine.then([&] {
      if (pool.engine.of[0].has.front().work.first_index == 0) pool.engine.run(0, 1);
      pool.engine.begin(0);
      pool.engine.die(0);
    });
  }
  CHECK(pool.outcomes(call) == strings{"0", deaths == 3 ? "1 died" : "1", "2"});
  CHECK(pool.runs(call, 0) == 1);
  CHECK(pool.runs(call, 1) == (deaths == 3 ? 3 : deaths + 1));
  CHECK(pool.runs(call, 2) == 1);
}

TEST_CASE("K4: the deaths of one bad task count once, however often it may be run") {
  scripted_pool pool({.workers = 1}, {.max_retries = 20});
  auto call = pool.open();
  pool.submit(call, 3);
  for (int i = 0; i < 21; ++i) {
    pool.engine.then([&] {
      pool.engine.begin(0);
      pool.engine.die(0);
    });
  }
  CHECK(pool.outcomes(call) == strings{"0 died", "1", "2"});
}

TEST_CASE("W7: workers that keep dying without a success break the pool, and every call is told") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  auto other = pool.open();
  pool.submit(call, 2);
  for (int i = 0; i < 3; ++i) pool.submit(other, 1);
  for (int i = 0; i < 3; ++i) {
    pool.engine.then([&] {
      pool.engine.begin(0);
      pool.engine.die(0, {.summary = "of boredom"});
    });
  }
  CHECK(pool.outcomes(call) == strings{"0 died", "1 died"});
  CHECK(pool.outcomes(other) == strings{"0 died", "1 broken", "2 broken"});
  CHECK(pool.engine.stopped);
  CHECK_THROWS_AS(pool.open(), lenskit::broken_pool);
  CHECK_THROWS_AS(pool.core.throw_if_finished(), lenskit::broken_pool);
  pool.submit(call, 1);
  CHECK(pool.outcomes(call) == strings{"2 broken"});
}

TEST_CASE("W7: deaths with a success after each never break the pool") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  for (int i = 0; i < 6; ++i) {
    pool.submit(call, 2);
    pool.engine.then([&] {
      pool.engine.begin(0);
      pool.engine.die(0);
    });
    pool.engine.then([&] { pool.engine.run(0, 1); });
  }
  CHECK(pool.outcomes(call).size() == 12);
  CHECK_NOTHROW(pool.core.throw_if_finished());
}

TEST_CASE("a message without results is no success") {
  scripted_pool pool({.workers = 1}, {.max_retries = 1});
  auto call = pool.open();
  pool.submit(call, 2);
  for (int i = 0; i < 2; ++i) {
    pool.engine.then([&] { pool.engine.tell(0, {pool.engine.of[0].has.front().work.chunk, 0, 0, 0, 0}); });
    pool.engine.then([&] {
      pool.engine.begin(0);
      pool.engine.die(0);
    });
  }
  CHECK(pool.outcomes(call) == strings{"0 died", "1"});
}

TEST_CASE("W7: workers that were never forked prove nothing") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 2);
  for (int i = 0; i < 50; ++i) pool.engine.then([&] { pool.engine.die(0, {.start_error = 11}); });
  CHECK(pool.outcomes(call) == strings{"0", "1"});
}

TEST_CASE("a task that always takes the spawner along is not run for ever") {
  scripted_pool pool({.workers = 1}, {.max_retries = 100});
  auto call = pool.open();
  pool.submit(call, 1);
  for (int i = 0; i < 3; ++i) {
    pool.engine.then([&] {
      pool.engine.begin(0);
      pool.engine.die(0, {.lost_with_spawner = true});
      pool.engine.lose_spawner();
    });
  }
  CHECK(pool.outcomes(call) == strings{"0 broken"});
}

TEST_CASE("an engine that cannot go on breaks the pool") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 2);
  pool.engine.then([&] { pool.engine.fall_apart("no forks"); });
  CHECK(pool.outcomes(call) == strings{"0 broken", "1 broken"});
}

// ---- what workers say ----------------------------------------------------------------------------------------------

TEST_CASE("what is told twice is taken once: fetched while a task keeps it back, and sent later") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 4);
  pool.engine.then([&] {
    for (int i = 0; i < 2; ++i) pool.engine.begin(0), pool.engine.finish(0);
    pool.engine.begin(0);
    pool.engine.harvest(0);
  });
  pool.engine.then([&] {
    pool.engine.finish(0);
    pool.engine.send(0);
  });
  CHECK(pool.outcomes(call) == strings{"0", "1", "2", "3"});
}

TEST_CASE("results that are fetched before those in front of them have arrived are no lie") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 4);
  pool.engine.then([&] {
    auto& mine = pool.engine.of[0].has;
    for (int i = 0; i < 3; ++i) pool.engine.begin(0), pool.engine.finish(0);
    pool.engine.begin(0);
    mine.front().sent = 2;  // on its way
    pool.engine.harvest(0);
    mine.front().sent = 0;
  });
  CHECK(pool.outcomes(call) == strings{"0", "1", "2", "3"});
  CHECK_FALSE(pool.engine.of[0].ended);
  CHECK(pool.most_runs() == 1);
}

TEST_CASE("a worker whose words make no sense is ended, and what it had not begun is run by others") {
  struct words {
    std::uint32_t offset, count;
  };
  const auto bad =
      GENERATE(words{1, 1}, words{0, 4}, words{0xffff'ffff, 1}, words{0, 0xffff'ffff}, words{2, 0xffff'ffff});
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 3);
  pool.engine.then([&] {
    pool.engine.tell(0, {pool.engine.of[0].has.front().work.chunk, bad.offset, bad.count, 0, 0});
  });
  pool.engine.then([&] {
    CHECK(pool.engine.of[0].ended == d::ending::senses);
    pool.engine.die(0);
  });
  CHECK(pool.outcomes(call) == strings{"0", "1", "2"});
}

TEST_CASE("a worker that tells of more than it was given, in pieces, is ended") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 3);
  pool.engine.then([&] { pool.engine.run(0, 2); });
  pool.engine.then([&] { pool.engine.tell(0, {pool.engine.of[0].has.front().work.chunk, 2, 2, 0, 0}); });
  pool.engine.then([&] {
    CHECK(pool.engine.of[0].ended == d::ending::senses);
    pool.engine.die(0);
  });
  CHECK(pool.outcomes(call) == strings{"0", "1", "2"});
}

TEST_CASE("W7: workers that never say anything sensible break the pool in the end") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 1);
  for (int i = 0; i < 3; ++i) {
    pool.engine.then([&] { pool.engine.tell(0, {pool.engine.of[0].has.front().work.chunk, 7, 7, 0, 0}); });
    pool.engine.then([&] { pool.engine.die(0); });
  }
  CHECK(pool.outcomes(call) == strings{"0 broken"});
}

TEST_CASE("what is said of a chunk that nobody has is not heard") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 2);
  pool.engine.then([&] { pool.engine.tell(0, {4711, 0, 1, 0, 0}); });
  CHECK(pool.outcomes(call) == strings{"0", "1"});
  CHECK_FALSE(pool.engine.of[0].ended);
}

// ---- the end -------------------------------------------------------------------------------------------------------

TEST_CASE("a shutdown ends what waits, and takes nothing more") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 2);
  pool.engine.then([&] { pool.engine.run(0, 1); });
  d::outcome_list first;
  REQUIRE(pool.core.take(*call, first));
  pool.core.shut_down();
  CHECK(pool.engine.shut);
  CHECK_THROWS_AS(pool.outcomes(call), lenskit::invoker_closed);
  CHECK_THROWS_AS(pool.open(), lenskit::invoker_closed);
  CHECK_FALSE(pool.core.submit(pool.tasks(call, 1)));
  pool.core.shut_down();  // once more does nothing
}

TEST_CASE("a stop cancels what has no outcome") {
  std::stop_source stop;
  scripted_pool pool({.workers = 1}, {.stop_token = stop.get_token()});
  auto call = pool.open();
  pool.submit(call, 3);
  pool.engine.then([&] { pool.engine.run(0, 1); });
  pool.engine.then([&] { stop.request_stop(); });
  CHECK(pool.outcomes(call) == strings{"0", "1 cancelled", "2 cancelled"});
  CHECK(pool.engine.stopped);
  CHECK(pool.core.advise(*call).finished);
  pool.submit(call, 1);
  CHECK(pool.outcomes(call) == strings{"3 cancelled"});
}

TEST_CASE("K3: after a stop, or in a broken pool, nothing begins that had not begun") {
  const bool broken = GENERATE(false, true);
  std::stop_source stop;
  scripted_pool pool({.workers = 2}, {.stop_token = stop.get_token()});
  auto call = pool.open();
  for (int i = 0; i < 4; ++i) pool.submit(call, 3);
  pool.engine.then([&] {
    pool.engine.begin(0);
    broken ? pool.engine.fall_apart("no forks") : static_cast<void>(stop.request_stop());
  });
  CHECK(pool.outcomes(call).size() == 12);
  pool.engine.work_off();
  CHECK(pool.all_runs() == 1);
}

TEST_CASE("once a stop is requested nothing more is given out") {
  std::stop_source stop;
  scripted_pool pool({.workers = 1}, {.stop_token = stop.get_token()});
  auto call = pool.open();
  for (int i = 0; i < 5; ++i) pool.submit(call, 1);
  const auto before = pool.engine.times_sent;
  pool.engine.then([&] {
    pool.engine.run(0, 1);
    stop.request_stop();
  });
  CHECK(pool.outcomes(call).size() == 5);
  CHECK(pool.engine.times_sent == before);
}

TEST_CASE("memory that runs out while a result is awaited costs nothing") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 2);
  int failures = 3;
  pool.engine.on_wait = [&](d::manner) {
    if (failures-- > 0) throw std::bad_alloc();
  };
  d::outcome_list taken;
  for (int i = 0; i < 3; ++i) CHECK_THROWS_AS(pool.core.take(*call, taken), std::bad_alloc);
  CHECK(pool.outcomes(call) == strings{"0", "1"});
}
