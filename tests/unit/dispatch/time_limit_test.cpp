#include <lenskit/detail/dispatch/time_limit.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <optional>
#include <type_traits>

using lenskit::detail::time_limit;
using namespace std::chrono_literals;

static_assert(std::is_convertible_v<std::chrono::hours, time_limit>);
static_assert(std::is_convertible_v<std::nullopt_t, time_limit>);
static_assert(!std::is_constructible_v<time_limit, const char*>);

TEST_CASE("a time limit is any duration, in nanoseconds, or nothing") {
  const time_limit none;
  CHECK_FALSE(none.has_value());
  time_limit limit = 2ms;
  CHECK(limit->count() == 2'000'000);
  limit = 1500ms;
  CHECK(*limit == 1500ms);
  limit = std::nullopt;
  CHECK_FALSE(limit.has_value());
}

TEST_CASE("a time limit is what a function gave that may have none") {
  const auto given = [](bool some) { return some ? std::optional<std::chrono::nanoseconds>(7ns) : std::nullopt; };
  const time_limit some = given(true);
  const time_limit none = given(false);
  CHECK(some.value() == 7ns);
  CHECK_FALSE(none.has_value());
}
