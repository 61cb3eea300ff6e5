#include <lenskit/detail/engines/processes.hpp>

#include <support/catch.hpp>
#include <support/int_tasks.hpp>
#include <support/shared_counters.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

namespace {

using namespace lenskit::tests;
using said = std::vector<std::string>;

}  // namespace

TEST_CASE("processes run what each is given, entered by their number", "[no_tsan]") {
  int entered = -1;
  d::processes_engine engine(int_place(100, [&](const int& model, int x) { return model + 10 * entered + x; }),
                             {.workers = 2, .enter_worker = [&](int worker) { entered = worker; }});
  CHECK(engine.traits().workers == 2);
  CHECK(engine.traits().isolates);
  CHECK(engine.traits().can_stop_tasks);
  CHECK(engine.room(0) > 0);
  give(engine, 0, int_tasks(7, {1, 2}));
  give(engine, 1, int_tasks(8, {3}));
  hearing heard;
  REQUIRE(heard.lead_until(engine, [&] { return heard.results.size() == 2; }));
  std::sort(heard.results.begin(), heard.results.end());
  CHECK(heard.results == said{"0/7: 101 102", "1/8: 113"});
  CHECK(heard.deaths.empty());
  engine.shut_down();
  CHECK(engine.room(0) == 0);
}

TEST_CASE("the death of a process is told with what it had in hand, and another one takes its place", "[no_tsan]") {
  d::processes_engine engine(int_place(0,
                                       [](const int&, int x) {
                                         if (x < 0) ::raise(SIGKILL);
                                         return x;
                                       }),
                             {.workers = 1});
  give(engine, 0, int_tasks(7, {5, -1, 6}));
  hearing heard;
  REQUIRE(heard.lead_until(engine, [&] { return !heard.deaths.empty(); }));
  const auto& death = heard.deaths.front();
  CHECK(death.report.status.signal == SIGKILL);
  CHECK(death.will.chunk == 7);
  CHECK(death.will.started == 2);
  CHECK(death.will.finished == 1);
  CHECK_FALSE(death.ended_by_pool);
  REQUIRE(heard.lead_until(engine, [&] { return engine.room(0) > 0; }));
  give(engine, 0, int_tasks(8, {6}));
  // What the first one had finished may have been fetched before it died.
  CHECK(heard.lead_until(engine, [&] { return !heard.results.empty() && heard.results.back() == "0/8: 6"; }));
}

TEST_CASE("a process that runs a task is seen at it, keeps what was not taken back, and can be ended", "[no_tsan]") {
  d::processes_engine engine(int_place(0,
                                       [](const int&, int x) {
                                         if (x == 1) ::pause();
                                         return x;
                                       }),
                             {.workers = 1, .keeps_time = true});
  CHECK_FALSE(engine.look(0, d::aspect::task).in_hand.has_value());
  give(engine, 0, int_tasks(7, {0, 1, 2, 3}));
  hearing heard;
  const auto at_task = [&] {
    const auto task = engine.look(0, d::aspect::task).in_hand;
    return task && task->chunk == 7 && task->position == 1;
  };
  const auto deadline = d::steady::now() + std::chrono::seconds(10);
  while (!at_task() && d::steady::now() < deadline) engine.wait(d::manner::watch, d::steady::now());
  REQUIRE(at_task());
  CHECK_FALSE(engine.look(0, d::aspect::progress).between_tasks.has_value());
  CHECK(engine.take_back(0, 7, 0) == 2U);
  CHECK(engine.take_back(0, 9, 0) == d::claim::most_tasks);
  engine.end_worker(0, d::ending::late);
  CHECK(engine.room(0) == 0);
  REQUIRE(heard.lead_until(engine, [&] { return !heard.deaths.empty(); }));
  CHECK(heard.deaths.front().ended_by_pool);
  CHECK(heard.deaths.front().will.owned == 2);
  CHECK(heard.deaths.front().will.finished == 1);
}

TEST_CASE("who waits for processes is woken", "[no_tsan]") {
  d::processes_engine engine(int_place(0, [](const int&, int x) { return x; }), {.workers = 1});
  engine.wake({});
  const auto deadline = d::steady::now() + std::chrono::seconds(10);
  CHECK(engine.wait(d::manner::attend, deadline));
  engine.wake({});
  engine.wait(d::manner::rest, deadline);
  CHECK(d::steady::now() < deadline);
}
