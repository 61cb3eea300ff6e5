#include <lenskit/detail/dispatch/call.hpp>
#include <lenskit/detail/dispatch/pace.hpp>
#include <lenskit/detail/dispatch/roster.hpp>
#include <lenskit/random.hpp>

#include <support/catch.hpp>
#include <support/scripted_engine.hpp>

#include <chrono>
#include <cstdint>
#include <memory>

namespace {

using namespace std::chrono_literals;
using lenskit::tests::scripted_engine;
namespace d = lenskit::detail;

constexpr auto start = d::steady::time_point(1s);

std::shared_ptr<d::call_state> call_of(std::int64_t task_ns) {
  auto call =
      std::make_shared<d::call_state>(d::call_plan(0, d::result_order::of_input, d::next_call_seed()), std::size_t{2});
  if (task_ns > 0) call->pace.learn(1, task_ns, 0);
  return call;
}

std::shared_ptr<d::chunk> tasks_of(const std::shared_ptr<d::call_state>& call, std::uint32_t count) {
  auto work = d::make_chunk();
  work->call = call;
  work->count = work->limit = count;
  auto arguments = std::make_shared<d::encoded_arguments>();
  arguments->record_bytes = 1;
  d::writer into;
  for (std::uint32_t i = 0; i < count; ++i) into.put('x');
  arguments->block = into.release();
  work->argument_bytes = {arguments->block.data.get(), arguments->block.size};
  work->arguments = std::move(arguments);
  return work;
}

// The next chunk goes to its worker, and on to the engine.
int give_next(d::roster& who, scripted_engine& engine, d::steady::time_point now = start) {
  const auto dealt = who.deal(now, 1);
  if (dealt.empty()) return -1;
  const int worker = dealt.front().worker;
  engine.send(dealt);
  return worker;
}

}  // namespace

// ---- a lane --------------------------------------------------------------------------------------------------------

TEST_CASE("a lane knows how much work is left in it") {
  const auto call = call_of(10);
  const auto first = tasks_of(call, 5);
  const auto second = tasks_of(call, 3);
  first->name = 1;
  second->name = 2;
  d::lane in;
  CHECK(in.queued_ns() == 0);
  CHECK(in.waiting_tasks() == 0);
  in.add(first);
  in.add(second);
  CHECK(in.queued_ns() == 80);
  CHECK(in.waiting_tasks() == 7);
  first->settled += 2;
  in.note_gone(2);
  CHECK(in.queued_ns() == 60);
  first->limit = 4;  // one is taken back
  in.note_gone(1);
  CHECK(in.queued_ns() == 50);
  in.remove(*first);
  CHECK(in.queued_ns() == 30);
  CHECK(in.front() == second);
  CHECK(in.find(2) == second);
  CHECK(in.find(1) == nullptr);
  in.clear();
  CHECK(in.queued_ns() == 0);
  in.add(tasks_of(call, 1));
  CHECK(in.queued_ns() == 10);
}

TEST_CASE("a lane with chunks of several calls adds them up, until it is empty") {
  const auto short_tasks = call_of(1);
  const auto long_tasks = call_of(1000);
  const auto first = tasks_of(short_tasks, 4);
  const auto second = tasks_of(long_tasks, 2);
  d::lane in;
  in.add(first);
  in.add(second);
  CHECK(in.queued_ns() == 2004);
  second->settled = 1;
  in.note_gone(1);
  CHECK(in.queued_ns() == 1004);
  in.remove(*first);
  CHECK(in.queued_ns() == 1000);
  in.remove(*second);
  in.add(tasks_of(long_tasks, 3));
  CHECK(in.queued_ns() == 3000);
}

// ---- who gets what -------------------------------------------------------------------------------------------------

TEST_CASE("chunks go to whoever has least, in their order, and each under a name of its own") {
  scripted_engine engine({.workers = 3});
  d::roster who(engine, 3);
  const auto call = call_of(1000);
  CHECK(give_next(who, engine) == -1);
  std::vector<std::shared_ptr<d::chunk>> all;
  for (std::uint32_t i = 0; i < 5; ++i) who.enqueue(all.emplace_back(tasks_of(call, 5 - i)));
  CHECK(call->waiting == 5);
  CHECK(give_next(who, engine) == 0);
  CHECK(give_next(who, engine) == 1);
  CHECK(give_next(who, engine) == 2);
  CHECK(give_next(who, engine) == 2);  // the last one has got the shortest
  CHECK(call->waiting == 1);
  CHECK(call->started == 14);
  CHECK(who.outstanding() == 4);
  CHECK(all[0]->name != all[1]->name);
  CHECK(who.only_busy() == -1);
}

TEST_CASE("nobody is given more than he has room for, nor more than two chunks of tasks not known yet") {
  scripted_engine engine({.workers = 2});
  d::roster who(engine, 2);
  engine.of[0].room = 1;
  engine.of[1].room = 8;
  for (int i = 0; i < 8; ++i) who.enqueue(tasks_of(call_of(0), 1));
  int given = 0;
  while (give_next(who, engine) >= 0) ++given;
  CHECK(given == 3);
  CHECK(who.of(0).size() == 1);
  CHECK_FALSE(who.backlog_empty());
  CHECK_FALSE(who.has_room());
}

TEST_CASE("what waits of a call is dropped, wherever it stands, and nothing else") {
  scripted_engine engine({.workers = 1});
  engine.of[0].room = 0;
  d::roster who(engine, 1);
  const auto one = call_of(0);
  const auto other = call_of(0);
  const unsigned pattern = GENERATE(range(0U, 32U));
  for (unsigned i = 0; i < 5; ++i) who.enqueue(tasks_of((pattern >> i & 1U) != 0 ? one : other, 1));
  who.drop_waiting(*one);
  engine.of[0].room = 8;
  const auto expected = static_cast<std::size_t>(5 - __builtin_popcount(pattern));
  std::size_t given = 0;
  while (!who.deal(start, 1).empty()) {
    CHECK(who.of(0).back()->call == other);
    who.take_from(0, *who.of(0).back());
    ++given;
  }
  CHECK(given == expected);
}

// ---- taking over ---------------------------------------------------------------------------------------------------

TEST_CASE("an idle worker takes half of what the one with most has not begun, from the back") {
  scripted_engine engine({.workers = 2});
  d::roster who(engine, 2);
  const auto call = call_of(1'000'000);
  engine.of[1].room = 0;
  who.enqueue(tasks_of(call, 2));
  who.enqueue(tasks_of(call, 8));
  give_next(who, engine);
  give_next(who, engine);
  engine.begin(0);
  CHECK_FALSE(who.next_transfer(start));  // the other one has no room
  engine.of[1].room = 4;
  const auto plan = who.next_transfer(start);
  REQUIRE(plan);
  CHECK(plan->from == 0);
  CHECK(plan->work->count == 8);
  CHECK(plan->keep == 3);  // of nine that have not begun, five go
}

TEST_CASE("short tasks are left where they are, unless their worker does not get on") {
  scripted_engine engine({.workers = 2});
  d::roster who(engine, 2);
  const auto call = call_of(1000);
  engine.of[1].room = 0;
  who.enqueue(tasks_of(call, 10));
  give_next(who, engine);
  engine.begin(0);
  engine.of[1].room = 4;
  CHECK_FALSE(who.next_transfer(start));
  CHECK(who.look_again_at() == start + d::pace::behind_patience);
  CHECK(who.next_transfer(start + d::pace::behind_patience));
  who.of(0).spared_until = start + 5ms;
  CHECK_FALSE(who.next_transfer(start + 2ms));
  CHECK(who.look_again_at() == start + 5ms);
}

TEST_CASE("while no processor is idle, workers that are behind are given longer") {
  scripted_engine engine({.workers = 2});
  d::roster who(engine, 1);
  engine.of[1].room = 0;
  who.enqueue(tasks_of(call_of(1000), 10));
  give_next(who, engine);
  engine.begin(0);
  engine.of[1].room = 4;
  CHECK_FALSE(who.next_transfer(start + d::pace::behind_patience));
  CHECK(who.next_transfer(start + d::pace::crowded_patience));
}

TEST_CASE("of a worker that has begun nothing the next task stays with it") {
  scripted_engine engine({.workers = 2});
  d::roster who(engine, 2);
  engine.of[1].room = 0;
  who.enqueue(tasks_of(call_of(1'000'000), 2));
  give_next(who, engine);
  engine.of[1].room = 4;
  const auto plan = who.next_transfer(start);
  REQUIRE(plan);
  CHECK(plan->keep == 1);
}

// ---- resting -------------------------------------------------------------------------------------------------------

TEST_CASE("the leader rests only while every worker has enough to do") {
  scripted_engine engine({.workers = 2});
  d::roster who(engine, 2);
  const auto call = call_of(20'000);
  CHECK(who.time_to_rest() == 0ns);
  for (int i = 0; i < 4; ++i) who.enqueue(tasks_of(call, 40));
  for (int i = 0; i < 3; ++i) give_next(who, engine);
  CHECK(who.time_to_rest() == 0ns);
  give_next(who, engine);
  CHECK(who.time_to_rest() > 0ns);
  CHECK(who.time_to_rest() <= d::pace::longest_rest);
}
