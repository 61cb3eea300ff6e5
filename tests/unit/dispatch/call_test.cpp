#include <lenskit/detail/dispatch/call.hpp>
#include <lenskit/random.hpp>

#include <support/catch.hpp>

#include <cstdint>
#include <memory>
#include <utility>

namespace {

namespace d = lenskit::detail;

std::shared_ptr<d::call_state> call_in(d::result_order order) {
  return std::make_shared<d::call_state>(d::call_plan(1, order, d::next_call_seed()), 2);
}

// A chunk of one task, which the call has out.
std::shared_ptr<d::chunk> add_to(const std::shared_ptr<d::call_state>& call, std::uint64_t index) {
  auto work = d::make_chunk();
  work->call = call;
  work->first_index = index;
  work->count = 1;
  work->arguments = std::make_shared<d::encoded_arguments>();
  call->out.add(work);
  return work;
}

void settle(const std::shared_ptr<d::chunk>& work) {
  d::outcome_list part(1);
  part.front().count = 1;
  work->call->out.settle(work, std::move(part));
}

}  // namespace

TEST_CASE("a call that starts has nothing out and has not been measured") {
  const auto call = call_in(d::result_order::of_input);
  CHECK(call->out.empty());
  CHECK(call->waiting == 0);
  CHECK(call->started == 0);
  CHECK_FALSE(call->abandoned);
  CHECK_FALSE(call->pace.task_ns());
}

TEST_CASE("the outcomes of a call are in the order of its plan") {
  const auto order = GENERATE(d::result_order::of_input, d::result_order::of_completion);
  const auto call = call_in(order);
  const auto first = add_to(call, 0);
  const auto second = add_to(call, 1);
  settle(second);
  CHECK(call->out.has_outcomes() == (order == d::result_order::of_completion));
  settle(first);
  d::outcome_list taken;
  call->out.take(taken);
  REQUIRE(taken.size() == 2);
  CHECK(taken.front().first_index == (order == d::result_order::of_completion ? 1 : 0));
  call->out.abandon();
}
