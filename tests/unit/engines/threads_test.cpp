#include <lenskit/detail/engines/threads.hpp>

#include <support/catch.hpp>
#include <support/int_tasks.hpp>
#include <support/message_of.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace lenskit::tests;
using said = std::vector<std::string>;

// A function that cannot be copied.
struct only_one {
  std::unique_ptr<int> held = std::make_unique<int>(1);
  int operator()(const int&, int x) const { return x + *held; }
};

}  // namespace

TEST_CASE("threads run what each is given, at a function of their own, and serve their engine meanwhile") {
  const d::worker_engine* engine = nullptr;
  std::atomic<int> served{0};
  const auto place = int_place(100, [&, calls = 0](const int& model, int x) mutable {
    served += d::serves_here(*engine) ? 1 : 0;
    return model + x + 1000 * calls++;
  });
  d::threads_engine made(*place, 2);
  engine = &made;
  CHECK(made.traits().workers == 2);
  CHECK_FALSE(made.traits().isolates);
  CHECK_FALSE(made.traits().can_stop_tasks);
  give(made, 0, int_tasks(7, {1, 2}));
  give(made, 1, int_tasks(8, {3}));
  hearing heard;
  REQUIRE(heard.lead_until(made, [&] { return heard.results.size() == 2; }));
  std::sort(heard.results.begin(), heard.results.end());
  CHECK(heard.results == said{"0/7: 101 1102", "1/8: 103"});
  CHECK(served == 3);
  CHECK_FALSE(d::serves_here(made));
}

TEST_CASE("what a thread has not begun can be taken back, and it never begins it") {
  std::atomic<bool> runs{false}, may_end{false};
  std::atomic<int> began{0};
  const auto place = int_place(0, [&](const int&, int x) {
    ++began;
    runs = true;
    while (!may_end) std::this_thread::yield();
    return x;
  });
  d::threads_engine engine(*place, 1);
  const int all_room = engine.room(0);
  CHECK(all_room > 1);
  give(engine, 0, int_tasks(7, {0, 1, 2, 3}));
  give(engine, 0, int_tasks(8, {4}));
  while (!runs) std::this_thread::yield();
  CHECK(engine.take_back(0, 7, 1) == 2U);
  CHECK(engine.take_back(0, 8, 0) == 0U);
  CHECK(engine.take_back(0, 9, 0) == d::claim::most_tasks);
  CHECK(engine.room(0) < all_room);
  may_end = true;
  hearing heard;
  REQUIRE(heard.lead_until(engine, [&] { return !heard.results.empty(); }));
  CHECK(heard.results == said{"0/7: 0 1"});
  engine.shut_down();
  CHECK(began == 2);
  CHECK(engine.take_back(0, 7, 0) == d::claim::most_tasks);  // it is over
}

TEST_CASE("the end of the engine waits for the tasks that its threads run, drops the others, and leaves no room") {
  std::atomic<int> began{0}, ended{0};
  std::atomic<bool> may_end{false};
  const auto place = int_place(0, [&](const int&, int x) {
    ++began;
    while (!may_end) std::this_thread::yield();
    ++ended;
    return x;
  });
  d::threads_engine engine(*place, 1);
  give(engine, 0, int_tasks(7, {0, 1, 2}));
  while (began == 0) std::this_thread::yield();
  std::thread closer([&] { engine.shut_down(); });
  while (engine.room(0) != 0) std::this_thread::yield();
  may_end = true;
  closer.join();
  CHECK(began == 1);
  CHECK(ended == 1);
}

TEST_CASE("who waits for threads is woken") {
  const auto place = int_place(0, [](const int&, int x) { return x; });
  d::threads_engine engine(*place, 1);
  engine.wake({});
  CHECK(engine.wait(d::manner::lead, d::steady::time_point::max()));
  hearing heard;
  engine.report(heard);
  CHECK(heard.results.empty());
  CHECK_FALSE(engine.wait(d::manner::lead, d::steady::time_point{}));  // it was told once
}

TEST_CASE("threads need a function that can be copied, and leave nothing behind without one") {
  const d::typed_workplace<int, only_one> place(std::make_shared<const int>(0), only_one{});
  CHECK(message_of<std::invalid_argument>([&] { const d::threads_engine engine(place, 2); }).find("can be copied") !=
        std::string::npos);
}
