#include <lenskit/detail/engines/in_process.hpp>

#include <support/catch.hpp>
#include <support/int_tasks.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace lenskit::tests;
constexpr auto soon = d::steady::time_point{};

using said = std::vector<std::string>;

}  // namespace

TEST_CASE("without workers a task runs when its result is waited for, in the thread that waits") {
  const d::worker_engine* engine = nullptr;
  int ran = 0;
  bool served = false;
  d::in_process_engine made(int_place(100, [&](const int& model, int x) {
    ++ran;
    served = d::serves_here(*engine);
    return model + x;
  }));
  engine = &made;
  CHECK(made.traits().workers == 1);
  CHECK(made.traits().longest_chunk == 1);
  CHECK_FALSE(made.traits().deals_ahead);
  CHECK(made.room(0) == 1);
  give(made, 0, int_tasks(7, {1}));
  CHECK(made.room(0) == 0);
  hearing heard;
  made.report(heard);
  CHECK(ran == 0);
  CHECK_FALSE(made.wait(d::manner::rest, soon));
  CHECK_FALSE(made.wait(d::manner::attend, soon));
  CHECK(ran == 0);
  CHECK(made.wait(d::manner::lead, soon));
  CHECK(ran == 1);
  CHECK(served);
  CHECK_FALSE(d::serves_here(made));
  CHECK(made.room(0) == 1);
  made.report(heard);
  CHECK(heard.results == said{"0/7: 101"});
  CHECK_FALSE(made.wait(d::manner::lead, soon));  // there is nothing to do
}

TEST_CASE("without workers a task that has not begun is taken back and never runs; of another chunk nothing is") {
  int ran = 0;
  d::in_process_engine engine(int_place(0, [&](const int&, int x) { return ran += x; }));
  give(engine, 0, int_tasks(7, {1}));
  CHECK(engine.take_back(0, 6, 0) == d::claim::most_tasks);
  CHECK(engine.take_back(0, 7, 0) == 0U);
  CHECK(engine.room(0) == 1);
  CHECK_FALSE(engine.wait(d::manner::lead, soon));
  CHECK(ran == 0);
  CHECK(engine.take_back(0, 7, 0) == d::claim::most_tasks);  // it is over
}

TEST_CASE("without workers a task that runs is not taken back, not even by itself") {
  d::worker_engine* where = nullptr;
  std::uint32_t taken_from = 0;
  d::in_process_engine engine(int_place(0, [&](const int&, int x) {
    taken_from = where->take_back(0, 7, 0).value();
    return x;
  }));
  where = &engine;
  give(engine, 0, int_tasks(7, {5}));
  CHECK(engine.wait(d::manner::lead, soon));
  CHECK(taken_from == 1);
  hearing heard;
  engine.report(heard);
  CHECK(heard.results == said{"0/7: 5"});
}

TEST_CASE("V3: without workers the end of the engine destroys the function, and only that does") {
  const auto held = std::make_shared<int>(1);
  d::in_process_engine engine(int_place(0, [held](const int&, int x) { return x + *held; }));
  CHECK(held.use_count() == 2);
  give(engine, 0, int_tasks(7, {5}));
  engine.wait(d::manner::lead, soon);
  CHECK(held.use_count() == 2);
  engine.shut_down();
  CHECK(held.use_count() == 1);
}
