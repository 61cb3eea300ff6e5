#include <lenskit/detail/dispatch/lane.hpp>

#include <support/catch.hpp>

#include <cstdint>
#include <memory>

using lenskit::detail::call_plan;
using lenskit::detail::call_state;
using lenskit::detail::chunk;
using lenskit::detail::lane;
using lenskit::detail::next_call_seed;
using lenskit::detail::result_order;

namespace {

std::shared_ptr<call_state> call_with(double task_ns) {
  auto call = std::make_shared<call_state>(call_plan(0, result_order::of_input, next_call_seed()), 2);
  call->task_ns = task_ns;
  return call;
}

std::shared_ptr<chunk> tasks_of(const std::shared_ptr<call_state>& call, std::uint64_t id, std::uint32_t count) {
  auto work = std::make_shared<chunk>();
  work->id = id;
  work->call = call;
  work->count = count;
  return work;
}

}  // namespace

TEST_CASE("a lane knows how much work is left in it") {
  const auto call = call_with(10);
  const auto first = tasks_of(call, 1, 5);
  const auto second = tasks_of(call, 2, 3);
  lane in;
  CHECK(in.queued_ns() == 0);
  in.add(first);
  in.add(second);
  CHECK(in.queued_ns() == 80);
  first->settled += 2;
  in.note_settled(2);
  CHECK(in.queued_ns() == 60);
  call->task_ns = 100;  // known better by now
  CHECK(in.queued_ns() == 600);
  in.remove(*first);
  CHECK(in.queued_ns() == 300);
  CHECK(in.front() == second);
  CHECK(in.find(2) == second);
  CHECK(in.find(1) == nullptr);
  CHECK(in.remove_all().size() == 1);
  CHECK(in.queued_ns() == 0);
  in.add(tasks_of(call, 3, 1));
  CHECK(in.queued_ns() == 100);
}

TEST_CASE("a lane with chunks of several calls adds them up, until it is empty") {
  const auto short_tasks = call_with(1);
  const auto long_tasks = call_with(1000);
  const auto first = tasks_of(short_tasks, 1, 4);
  const auto second = tasks_of(long_tasks, 2, 2);
  lane in;
  in.add(first);
  in.add(second);
  CHECK(in.queued_ns() == 2004);
  second->settled = 1;
  in.note_settled(1);
  CHECK(in.queued_ns() == 1004);
  in.remove(*first);
  CHECK(in.queued_ns() == 1000);
  in.remove(*second);
  in.add(tasks_of(long_tasks, 3, 3));
  CHECK(in.queued_ns() == 3000);
}
