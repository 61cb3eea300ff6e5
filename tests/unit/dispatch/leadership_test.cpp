#include <lenskit/detail/dispatch/dispatcher.hpp>
#include <lenskit/detail/dispatch/leadership.hpp>
#include <lenskit/error.hpp>

#include <support/catch.hpp>
#include <support/scripted_pool.hpp>

#include <atomic>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using lenskit::tests::scripted_engine;
using lenskit::tests::scripted_pool;
namespace d = lenskit::detail;

constexpr d::engine_traits attended{.workers = 2, .can_stop_tasks = true, .attended = true};

}  // namespace

TEST_CASE("while no consumer waits, the attendant sees to it that all is worked off") {
  scripted_pool pool(attended);
  auto call = pool.open();
  for (int i = 0; i < 20; ++i) pool.submit(call, 1);
  while (pool.core.counts(*call).settled < 20) std::this_thread::yield();
  CHECK(pool.outcomes(call).size() == 20);
  CHECK(pool.most_runs() == 1);
}

TEST_CASE("a consumer that waits at once rings no bell for what it submits") {
  scripted_pool pool(attended);
  auto call = pool.open();
  REQUIRE(pool.core.submit(pool.tasks(call, 1), d::feeder::waits));
  CHECK(pool.engine.bells == 0);
  CHECK(pool.outcomes(call).size() == 1);
  const int before = pool.engine.bells;
  REQUIRE(pool.core.submit(pool.tasks(call, 1), d::feeder::goes_on));
  CHECK(pool.engine.bells == before + 1);
  while (pool.core.counts(*call).settled < 2) std::this_thread::yield();
}

// There is an outcome, so it need not lead, and it may stay away for as long as it likes.
TEST_CASE("a consumer that finds what it waits for rings the bell for what it has submitted") {
  scripted_pool pool(attended);
  auto call = pool.open();
  pool.submit_failed(call, std::make_exception_ptr(std::runtime_error("no argument")));
  REQUIRE(pool.core.submit(pool.tasks(call, 1), d::feeder::waits));
  CHECK(pool.engine.bells == 0);
  d::outcome_list first;
  REQUIRE(pool.core.take(*call, first, false));
  while (pool.core.counts(*call).settled < 2) std::this_thread::yield();
}

TEST_CASE("the attendant finds another worker for what waits when all have died") {
  scripted_pool pool({.workers = 1, .can_stop_tasks = true, .attended = true});
  auto call = pool.open();
  pool.engine.then([&] {
    pool.engine.die(0);
    pool.engine.of[0].room = 0;  // its successor is not there yet
  });
  pool.engine.then([&] { pool.engine.of[0].room = 4; });
  pool.submit(call, 2);
  while (pool.core.counts(*call).settled < 2) std::this_thread::yield();
  CHECK(pool.outcomes(call) == std::vector<std::string>{"0", "1"});
}

TEST_CASE("consumers on several threads get what is theirs, whoever leads") {
  scripted_pool pool(attended);
  constexpr int consumers = 4;
  constexpr int rounds = 50;
  std::atomic<int> wrong{0};
  std::vector<std::shared_ptr<d::call_state>> calls;
  for (int i = 0; i < consumers; ++i) calls.push_back(pool.open());
  std::vector<std::jthread> threads;
  for (int i = 0; i < consumers; ++i) {
    std::vector<std::shared_ptr<d::chunk>> chunks;
    for (int round = 0; round < rounds; ++round) chunks.push_back(pool.tasks(calls[static_cast<std::size_t>(i)], 2));
    threads.emplace_back([&, i, work = std::move(chunks)] {
      auto& call = calls[static_cast<std::size_t>(i)];
      for (const auto& each : work) {
        wrong += pool.core.submit(each) ? 0 : 1;
        wrong += scripted_pool::outcomes(pool.core, *call).size() == 2 ? 0 : 1;
      }
    });
  }
  threads.clear();
  CHECK(wrong == 0);
  CHECK(pool.most_runs() == 1);
}

TEST_CASE("a consumer is woken for its result while another one goes on leading") {
  scripted_pool pool({.workers = 2});
  pool.engine.sleeps = true;
  pool.engine.works_by_itself = false;
  auto slow = pool.open();
  auto quick = pool.open();
  pool.submit(slow, 1);
  pool.submit(quick, 1);
  std::atomic<int> leads{0};
  pool.engine.on_wait = [&](d::manner) { ++leads; };
  auto first = std::async(std::launch::async, [&] { return pool.outcomes(slow); });
  while (leads == 0) std::this_thread::yield();
  std::atomic<bool> asks{false};
  auto second = std::async(std::launch::async, [&] {
    asks = true;
    return pool.outcomes(quick);
  });
  while (!asks) std::this_thread::yield();
  pool.engine.then([&] { pool.engine.run(1, 1); });
  CHECK(second.get() == std::vector<std::string>{"0"});
  pool.engine.then([&] { pool.engine.run(0, 1); });
  CHECK(first.get() == std::vector<std::string>{"0"});
}

TEST_CASE("a consumer that comes takes over from the attendant") {
  scripted_pool pool(attended);
  pool.engine.sleeps = true;
  pool.engine.works_by_itself = false;
  std::atomic<bool> stands_in{false}, led{false};
  pool.engine.on_wait = [&](d::manner how) {
    if (how == d::manner::stand_in) stands_in = true;
    if (how != d::manner::lead) return;
    if (!led.exchange(true)) pool.engine.then([&] { pool.engine.run(0, 1); });
  };
  auto call = pool.open();
  pool.submit(call, 1);
  while (!stands_in) std::this_thread::yield();
  CHECK(pool.outcomes(call) == std::vector<std::string>{"0"});
  CHECK(led);
}

TEST_CASE("a shutdown from another thread ends every wait") {
  const int consumers = GENERATE(1, 3);
  const bool with_attendant = GENERATE(true, false);
  scripted_pool pool({.workers = 1, .attended = with_attendant});
  pool.engine.works_by_itself = false;
  auto call = pool.open();
  std::vector<std::future<bool>> closed;
  for (int i = 0; i < consumers; ++i) {
    auto mine = pool.open();
    pool.submit(mine, 1);
    closed.push_back(std::async(std::launch::async, [&pool, mine] {
      try {
        scripted_pool::outcomes(pool.core, *mine);
        return false;
      } catch (const lenskit::invoker_closed&) {
        return true;
      }
    }));
  }
  std::this_thread::yield();
  pool.core.shut_down();
  for (auto& each : closed) CHECK(each.get());
}

TEST_CASE("a stop from another thread ends every wait") {
  std::stop_source stop;
  scripted_pool pool(attended, {.stop_token = stop.get_token()});
  pool.engine.works_by_itself = false;
  auto call = pool.open();
  pool.submit(call, 3);
  auto all = std::async(std::launch::async, [&] { return pool.outcomes(call); });
  stop.request_stop();
  CHECK(all.get() == std::vector<std::string>{"0 cancelled", "1 cancelled", "2 cancelled"});
}

TEST_CASE("calls are dropped while another thread leads") {
  scripted_pool pool(attended);
  auto lasting = pool.open();
  std::atomic<bool> done{false};
  std::vector<std::shared_ptr<d::chunk>> chunks;
  for (int i = 0; i < 100; ++i) chunks.push_back(pool.tasks(lasting, 1));
  std::jthread consumer([&] {
    for (const auto& each : chunks) {
      if (pool.core.submit(each)) scripted_pool::outcomes(pool.core, *lasting);
    }
    done = true;
  });
  int dropped = 0;
  while (!done || dropped < 20) {
    auto call = pool.open();
    for (int i = 0; i < 5; ++i) pool.submit(call, 3);
    pool.core.abandon(call);
    ++dropped;
  }
  consumer.join();
  CHECK(pool.core.counts(*lasting).settled == 100);
  CHECK(pool.most_runs() <= 1);
}
