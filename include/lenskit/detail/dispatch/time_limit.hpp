// An option that is a duration or nothing.
#pragma once

#include <chrono>
#include <optional>
#include <ratio>
#include <type_traits>

namespace lenskit::detail {

/// A duration in whole nanoseconds: what lies between two is rounded up, and what is longer than they can say (292
/// years) is the longest that they can.
template <class Rep, class Period>
[[nodiscard]] constexpr std::chrono::nanoseconds in_nanoseconds(std::chrono::duration<Rep, Period> limit) {
  using std::chrono::nanoseconds;
  const auto exact = static_cast<long double>(limit.count()) * (static_cast<long double>(Period::num) / Period::den) *
                     static_cast<long double>(std::nano::den);
  if (exact >= static_cast<long double>(nanoseconds::max().count())) return nanoseconds::max();
  if (exact <= static_cast<long double>(nanoseconds::min().count())) return nanoseconds::min();
  return std::chrono::ceil<nanoseconds>(limit);
}

/// A std::optional of nanoseconds that takes any whole duration, saturates, and refuses other numbers in words.
class time_limit : public std::optional<std::chrono::nanoseconds> {
 public:
  // NOLINTBEGIN(google-explicit-constructor)
  time_limit() noexcept = default;
  time_limit(std::nullopt_t) noexcept {}
  template <class Rep, class Period>
  time_limit(std::chrono::duration<Rep, Period> limit)
      : std::optional<std::chrono::nanoseconds>(in_nanoseconds(limit)) {
    static_assert(!std::chrono::treat_as_floating_point_v<Rep>,
                  "lenskit: a time limit is a whole number of units, and this duration may have a fraction: write "
                  "1500ms for 1.5s, or std::chrono::duration_cast<std::chrono::milliseconds>(limit)");
  }
  template <class Rep, class Period>
  time_limit(const std::optional<std::chrono::duration<Rep, Period>>& limit) {
    if (limit) *this = time_limit(*limit);
  }
  template <class Number>
  requires std::is_arithmetic_v<Number> time_limit(Number) {
    static_assert(!std::is_arithmetic_v<Number>,
                  "lenskit: a time limit is a duration, and this is a number without a unit: write "
                  "std::chrono::seconds(5), or 5s with std::chrono_literals");
  }
  // NOLINTEND(google-explicit-constructor)
};

}  // namespace lenskit::detail
