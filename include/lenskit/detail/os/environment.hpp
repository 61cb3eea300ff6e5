// Environment variables, and the seam behind which a test can put others.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace lenskit::detail {

/// The value of a variable, empty when it is not set.
using environment = std::function<std::optional<std::string>(const char* name)>;

/// The environment of this process. A variable that is set to nothing, or to blanks, counts as not set: that is how a
/// shell script unsets one for a single command.
std::optional<std::string> environment_variable(const char* name);

/// The whole of `text`, apart from blanks around it, as a number; empty when it is none or out of range.
std::optional<int> parse_int(std::string_view text) noexcept;

/// Without the blanks around it.
std::string_view trimmed(std::string_view text) noexcept;

}  // namespace lenskit::detail
