#include <lenskit/detail/dispatch/assignment.hpp>
#include <lenskit/random.hpp>

#include <support/catch.hpp>

#include <memory>

namespace {

namespace d = lenskit::detail;

}  // namespace

TEST_CASE("the plan of a call has its seed ready to travel") {
  const d::call_seed seed(std::make_shared<const lenskit::seed_sequence>(17), {3, 1});
  const d::call_plan plan(5, d::result_order::of_completion, seed);
  CHECK(plan.body == 5);
  CHECK(plan.order == d::result_order::of_completion);
  CHECK(plan.seed == seed);
  CHECK(d::call_seed::from_words(plan.seed_words) == seed);
}
