#include <lenskit/detail/log/bar_plan.hpp>
#include <support/catch.hpp>

#include <optional>
#include <string>

using lenskit::detail::bar_plan;
using lenskit::detail::body_reader;
using lenskit::detail::get_plan;
using lenskit::detail::put_plan;

namespace {

std::string bytes_of(const bar_plan& plan) {
  std::string body;
  put_plan(body, plan);
  return body;
}

std::optional<bar_plan> plan_in(const std::string& body) {
  body_reader reader(body);
  bar_plan plan;
  if (!get_plan(reader, plan)) return std::nullopt;
  CHECK(reader.done());
  return plan;
}

}  // namespace

TEST_CASE("the plan of a bar is read as it was written") {
  const auto known = plan_in(bytes_of({"users", 1000}));
  REQUIRE(known);
  CHECK(known->label == "users");
  CHECK(known->total == 1000);
  const auto unknown = plan_in(bytes_of({"", {}}));
  REQUIRE(unknown);
  CHECK(unknown->label.empty());
  CHECK_FALSE(unknown->total);
}

TEST_CASE("a long label of a bar is cut before it is sent") {
  const auto plan = plan_in(bytes_of({std::string(1000, 'x'), 7}));
  REQUIRE(plan);
  CHECK(plan->label == std::string(256, 'x'));
  CHECK(plan->total == 7);
}

TEST_CASE("a plan of a bar that makes no sense is refused") {
  const auto whole = bytes_of({"users", 1000});
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) CHECK_FALSE(plan_in(whole.substr(0, bytes)));
  CHECK_FALSE(plan_in(std::string(40, '\xff')));
}
