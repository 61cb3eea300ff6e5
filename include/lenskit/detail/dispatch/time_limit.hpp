// An option that is a duration or nothing.
#pragma once

#include <chrono>
#include <optional>
#include <type_traits>

namespace lenskit::detail {

/// A std::optional of nanoseconds in all but this: a bare number is refused in words.
class time_limit : public std::optional<std::chrono::nanoseconds> {
 public:
  using std::optional<std::chrono::nanoseconds>::optional;
  time_limit() noexcept = default;
  time_limit(const std::optional<std::chrono::nanoseconds>& limit) noexcept  // NOLINT(google-explicit-constructor)
      : std::optional<std::chrono::nanoseconds>(limit) {}
  template <class Number>
  requires std::is_arithmetic_v<Number> time_limit(Number) {  // NOLINT(google-explicit-constructor)
    static_assert(!std::is_arithmetic_v<Number>,
                  "lenskit: a time limit is a duration, and this is a number without a unit: write "
                  "std::chrono::seconds(5), or 5s with std::chrono_literals");
  }
};

}  // namespace lenskit::detail
