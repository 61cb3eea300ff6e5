#include <lenskit/detail/dispatch/dispatcher.hpp>
#include <lenskit/detail/dispatch/pace.hpp>

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

strings numbers(int count) {
  strings all;
  for (int i = 0; i < count; ++i) all.push_back(std::to_string(i));
  return all;
}

}  // namespace

TEST_CASE("K3: an abandoned call runs nothing more, and the next one gets its workers at once") {
  scripted_pool pool({.workers = 2});
  auto dropped = pool.open();
  const int chunks = GENERATE(1, 4, 5, 6, 30);  // four are given out, the others wait
  for (int i = 0; i < chunks; ++i) pool.submit(dropped, 3);
  auto other = pool.open();
  pool.submit(other, 1);
  pool.engine.begin(0);
  pool.core.abandon(dropped);
  pool.submit(other, 1);
  CHECK(pool.outcomes(other) == strings{"0", "1"});
  CHECK(pool.runs(dropped, 0) == 1);
  CHECK(pool.all_runs() == 3);
}

TEST_CASE("K3: what waited behind an abandoned call of which nothing had begun is given out at once") {
  scripted_pool pool({.workers = 1});
  auto dropped = pool.open();
  for (int i = 0; i < 2; ++i) pool.submit(dropped, 1);
  auto other = pool.open();
  pool.submit(other, 1);
  pool.core.abandon(dropped);
  REQUIRE(pool.engine.of[0].has.size() == 1);
  CHECK(pool.outcomes(other) == numbers(1));
  CHECK(pool.all_runs() == 1);
}

TEST_CASE("K3: calls abandoned in turn leave nothing to the next, whatever order they wait in") {
  scripted_pool pool({.workers = 1});
  auto one = pool.open();
  auto other = pool.open();
  auto last = pool.open();
  for (int i = 0; i < 5; ++i) {
    for (auto& call : {one, other, last}) pool.submit(call, 1);
  }
  pool.core.abandon(other);
  pool.core.abandon(one);
  CHECK(pool.outcomes(last) == numbers(5));
  CHECK(pool.all_runs() == 5);
}

TEST_CASE("an abandoned call's task that kills its worker harms nobody else") {
  scripted_pool pool({.workers = 1}, {.max_retries = 5});
  auto dropped = pool.open();
  pool.submit(dropped, 3);
  auto other = pool.open();
  pool.submit(other, 2);
  pool.engine.begin(0);
  pool.core.abandon(dropped);
  pool.engine.then([&] { pool.engine.die(0); });
  CHECK(pool.outcomes(other) == numbers(2));
  CHECK(pool.all_runs() == 3);
}

TEST_CASE("a call is abandoned with its results half taken, and with some on their way") {
  scripted_pool pool({.workers = 2});
  const auto order = GENERATE(d::result_order::of_input, d::result_order::of_completion);
  auto dropped = pool.open(order);
  for (int i = 0; i < 4; ++i) pool.submit(dropped, 2);
  pool.engine.then([&] {
    pool.engine.run(0, 1);
    pool.engine.run(1, 2);
  });
  d::outcome_list taken;
  REQUIRE(pool.core.take(*dropped, taken));
  pool.engine.run(0, 1);
  pool.core.abandon(dropped);
  auto other = pool.open();
  pool.submit(other, 1);
  CHECK(pool.outcomes(other) == numbers(1));
}

// ---- taking over ---------------------------------------------------------------------------------------------------

TEST_CASE("what waits behind a long task is run by an idle worker") {
  scripted_pool pool({.workers = 2});
  auto call = pool.open();
  for (int i = 0; i < 4; ++i) pool.submit(call, 1);
  pool.engine.works_by_itself = false;
  int slow = 0;
  pool.engine.then([&] {
    slow = pool.engine.of[0].has.front().work.first_index == 0 ? 0 : 1;
    pool.engine.begin(slow);
    pool.engine.run(1 - slow, 2);
  });
  pool.engine.on_wait = [&](d::manner) {
    const int quick = 1 - slow;
    if (!pool.engine.of[static_cast<std::size_t>(quick)].has.empty()) {
      pool.engine.run(quick, 1);
      if (pool.all_runs() == 4) pool.engine.works_by_itself = true;
    }
  };
  CHECK(pool.outcomes(call) == numbers(4));
  CHECK(pool.most_runs() == 1);
}

TEST_CASE("the rest of a chunk behind a long task goes to an idle worker, in pieces") {
  scripted_pool pool({.workers = 3});
  const auto order = GENERATE(d::result_order::of_input, d::result_order::of_completion);
  const bool late = GENERATE(false, true);
  pool.engine.answers_late = late;
  auto call = pool.open(order);
  pool.submit(call, 30);
  pool.engine.works_by_itself = false;
  pool.engine.then([&] { pool.engine.begin(0); });
  pool.engine.on_wait = [&](d::manner) {
    for (int quick = 1; quick < 3; ++quick) {
      if (!pool.engine.of[static_cast<std::size_t>(quick)].has.empty()) pool.engine.run(quick, 1);
    }
    if (pool.all_runs() == 30) pool.engine.works_by_itself = true;
  };
  CHECK(pool.outcomes(call).size() == 30);
  CHECK(pool.most_runs() == 1);
  CHECK(pool.all_runs() == 30);
}

TEST_CASE("what no worker has begun yet is not passed to and fro between them") {
  scripted_pool pool({.workers = 2});
  auto call = pool.open();
  pool.submit(call, 2);
  pool.engine.then([&] { pool.engine.run(0, 2, 50'000'000); });  // long tasks, it turns out
  CHECK(pool.outcomes(call) == numbers(2));
  pool.submit(call, 2);
  pool.engine.works_by_itself = false;
  pool.engine.then([] {});
  pool.engine.then([&] { pool.engine.works_by_itself = true; });
  CHECK(pool.outcomes(call) == strings{"2", "3"});
  CHECK(pool.engine.times_taken_back < 5);
}

TEST_CASE("results that meet a late answer to a take-back are counted once") {
  scripted_pool pool({.workers = 2}, {.task_timeout = 1s});
  pool.engine.answers_late = true;
  auto call = pool.open();
  pool.submit(call, 6);
  pool.engine.then([&] {
    pool.engine.begin(0);
    pool.engine.on_take_back = [&] {  // it runs two more before it hears of it
      for (int i = 0; i < 2; ++i) pool.engine.finish(0), pool.engine.begin(0);
      pool.engine.finish(0);
      pool.engine.send(0);
    };
  });
  CHECK(pool.outcomes(call) == numbers(6));
  CHECK(pool.most_runs() == 1);
}

TEST_CASE("a late answer for a worker that has died meanwhile is not heard") {
  scripted_pool pool({.workers = 1}, {.task_timeout = 1s});
  auto call = pool.open();
  pool.submit(call, 3);
  pool.engine.answers_late = true;
  pool.engine.then([&] {
    pool.engine.begin(0);
    pool.engine.last(1001ms);
  });
  pool.engine.then([&] {
    pool.engine.answers_late = false;
    pool.engine.die(0);
  });
  CHECK(pool.outcomes(call).size() == 3);
  CHECK(pool.runs(call, 1) == 1);
  CHECK(pool.runs(call, 2) == 1);
}

// ---- counts and advice ---------------------------------------------------------------------------------------------

TEST_CASE("counts say what was submitted, given out and settled, and never go backwards") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  for (int i = 0; i < 4; ++i) pool.submit(call, 5);
  auto before = pool.core.counts(*call);
  CHECK(before.submitted == 20);
  CHECK(before.started == 10);
  CHECK(before.settled == 0);
  bool ordered = true;
  for (int i = 0; i < 20; ++i) {
    pool.engine.then([&, i] {
      pool.engine.run(0, 1);
      if (i % 7 == 3 && !pool.engine.of[0].has.empty()) {
        pool.engine.begin(0);
        pool.engine.die(0);
      }
    });
  }
  pool.engine.on_wait = [&](d::manner) {
    const auto now = pool.core.counts(*call);
    ordered = ordered && now.settled >= before.settled && now.settled <= now.started && now.started <= now.submitted;
    before = now;
  };
  CHECK(pool.outcomes(call).size() == 20);
  CHECK(ordered);
  const auto after = pool.core.counts(*call);
  CHECK(after.settled == 20);
  CHECK(after.started == 20);
}

TEST_CASE("advice is to feed while the workers could use more, and to stop when enough is held") {
  scripted_pool pool({.workers = 2});
  auto call = pool.open();
  CHECK(pool.core.advise(*call).hungry);
  CHECK_FALSE(pool.core.advise(*call).window_full);
  int fed = 0;
  while (pool.core.advise(*call).hungry && fed < 100) {
    pool.submit(call, 1);
    ++fed;
  }
  CHECK(fed == 8);  // two each, and as many to follow
  while (!pool.core.advise(*call).window_full && fed < 1000) {
    pool.submit(call, 1);
    ++fed;
  }
  CHECK(fed == 128);
  CHECK(pool.outcomes(call).size() == 128);
  CHECK_FALSE(pool.core.advise(*call).window_full);
  CHECK(pool.core.advise(*call).chunk_tasks > 1);
}
