// What a worker has sent and nobody could read, because the stream was damaged: the tasks have ended all the same.
#include <lenskit/detail/dispatch/dispatcher.hpp>

#include <support/catch.hpp>
#include <support/scripted_pool.hpp>

#include <string>
#include <vector>

namespace {

using lenskit::tests::scripted_pool;
namespace d = lenskit::detail;
using strings = std::vector<std::string>;

void finish(scripted_pool& pool, int tasks) {
  for (int i = 0; i < tasks; ++i) pool.engine.begin(0), pool.engine.finish(0);
}

}  // namespace

TEST_CASE("K1: tasks whose results were sent and cannot be read are not run again when their worker dies") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 8);
  pool.engine.then([&] { pool.engine.run(0, 1); });
  pool.engine.then([&] {
    finish(pool, 3);
    pool.engine.send_unreadably(0);
    finish(pool, 2);  // these are in its journal
    pool.engine.begin(0);
    pool.engine.die(0);
  });
  CHECK(pool.outcomes(call) == strings{"0", "1 died", "2 died", "3 died", "4", "5", "6 died", "7"});
  CHECK(pool.most_runs() == 1);
}

TEST_CASE("K1: neither are those of a chunk that the worker had left behind, but what was taken back is run") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 2);
  pool.submit(call, 2);
  pool.engine.then([&] {
    finish(pool, 2);
    pool.engine.send_unreadably(0);
    pool.engine.begin(0);
    pool.engine.die(0);
  });
  CHECK(pool.outcomes(call) == strings{"0 died", "1 died", "2 died", "3"});
  CHECK(pool.most_runs() == 1);
}

TEST_CASE("K1: a worker that dies when all it has sent of its last chunk was unreadable has run that chunk") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 2);
  pool.engine.then([&] {
    d::worker_death death;
    death.will = {pool.engine.of[0].has.front().work.chunk, 2, 2, 2, 2, {}, 0};
    finish(pool, 2);
    pool.engine.send_unreadably(0);
    pool.engine.die(0, std::move(death));
  });
  CHECK(pool.outcomes(call) == strings{"0 died", "1 died"});
  CHECK(pool.most_runs() == 1);
}

TEST_CASE("tasks whose results cannot be read are run again where that is allowed") {
  scripted_pool pool({.workers = 1}, {.max_retries = 1});
  auto call = pool.open();
  pool.submit(call, 2);
  pool.submit(call, 2);
  for (int i = 0; i < 2; ++i) {
    pool.engine.then([&] {
      finish(pool, 2);
      pool.engine.send_unreadably(0);
      pool.engine.begin(0);
      pool.engine.die(0);
    });
  }
  CHECK(pool.outcomes(call) == strings{"0 died", "1 died", "2 died", "3"});
  CHECK(pool.most_runs() == 2);
}

TEST_CASE("a late task is told of as late, also behind results that cannot be read") {
  using namespace std::chrono_literals;
  scripted_pool pool({.workers = 1, .can_stop_tasks = true}, {.task_timeout = 1s, .max_retries = 3});
  pool.engine.works_by_itself = false;
  auto call = pool.open();
  pool.submit(call, 4);
  pool.engine.then([&] {
    finish(pool, 2);
    pool.engine.send_unreadably(0);
    pool.engine.begin(0);
  });
  pool.engine.on_wait = [&](d::manner) {
    if (pool.engine.of[0].ended) {
      pool.engine.on_wait = nullptr;
      pool.engine.die(0);
      pool.engine.works_by_itself = true;
    }
  };
  CHECK(pool.outcomes(call) == strings{"0 died", "1 died", "2 late", "3"});
  CHECK(pool.most_runs() == 1);
}

TEST_CASE("a journal that names a chunk which was never given out takes nobody's tasks along") {
  scripted_pool pool({.workers = 1});
  auto call = pool.open();
  pool.submit(call, 2);
  pool.engine.then([&] {
    d::worker_death death;
    death.will = {~0ULL, 7, 7, 7, 7, {}, 0};
    pool.engine.die(0, std::move(death));
  });
  CHECK(pool.outcomes(call) == strings{"0", "1"});
}
