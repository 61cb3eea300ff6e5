#include <lenskit/detail/dispatch/time_limit.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <optional>
#include <ratio>
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

TEST_CASE("K5: a time limit that nanoseconds cannot say is the longest that they can, and no short one is none") {
  using namespace std::chrono;
  CHECK(*time_limit(hours::max()) == nanoseconds::max());
  CHECK(*time_limit(minutes::max()) == nanoseconds::max());
  CHECK(*time_limit(seconds::max()) == nanoseconds::max());
  CHECK(*time_limit(milliseconds::max()) == nanoseconds::max());
  CHECK(*time_limit(nanoseconds::max()) == nanoseconds::max());
  CHECK(*time_limit(years(600)) == nanoseconds::max());
  CHECK(*time_limit(hours::min()) == nanoseconds::min());
  CHECK(*time_limit(years(200)) == years(200));
  CHECK(*time_limit(std::optional<hours>(hours::max())) == nanoseconds::max());
  CHECK(*time_limit(duration<long, std::pico>(1)) == 1ns);
  CHECK(*time_limit(duration<long, std::pico>(2'000'001)) == 2001ns);
}
