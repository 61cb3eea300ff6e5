#include <lenskit/detail/os/environment.hpp>

#include <charconv>
#include <cstdlib>

namespace lenskit::detail {

std::string_view trimmed(std::string_view text) noexcept {
  constexpr std::string_view blanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::optional<std::string> environment_variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || trimmed(value).empty()) return std::nullopt;
  return value;
}

std::optional<int> parse_int(std::string_view text) noexcept {
  text = trimmed(text);
  int value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

}  // namespace lenskit::detail
