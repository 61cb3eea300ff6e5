#include <lenskit/detail/engines/table.hpp>
#include <lenskit/detail/settings/resolve.hpp>
#include <lenskit/error.hpp>

#include <algorithm>
#include <cctype>
#include <string_view>

namespace lenskit::detail {
namespace {

[[noreturn]] void refuse(const std::string& variable, const std::string& text, const char* wanted) {
  throw settings_error("cannot use " + variable + "=" + text + ": " + wanted);
}

bool parse_flag(const char* variable, const std::string& text) {
  std::string word(trimmed(text));
  std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) { return std::tolower(c); });
  if (word == "1" || word == "true" || word == "yes" || word == "on") return true;
  if (word == "0" || word == "false" || word == "no" || word == "off") return false;
  refuse(variable, text, "it must be 0 or 1");
}

// Nothing for a number that is 0.
std::optional<int> parse_variable(const setting_key& key, const std::string& text) {
  if (key.flag != nullptr) return static_cast<int>(parse_flag(key.variable, text));
  const auto value = key.by_level ? parse_levels(key.variable, text).front() : parse_int(text);
  if (!value || *value < -1) refuse(key.variable, text, "it must be a number of at least -1");
  return *value != 0 ? value : std::nullopt;
}

}  // namespace

int checked_setting(int value, const std::string& origin) {
  if (value < -1)
    throw settings_error("cannot use " + origin + " = " + std::to_string(value) + ": it must be -1 or more");
  return value;
}

void refuse_ray(const std::string& origin) {
  throw settings_error("cannot use Ray, which " + origin + " asks for: this build has only the engines " +
                       engine_names());
}

std::vector<int> parse_levels(const char* variable, const std::string& text) {
  std::vector<int> levels;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const auto value = parse_int(std::string_view(text).substr(begin, end - begin));
    if (!value || *value < -1) refuse(variable, text, "it must be numbers of at least -1 with commas between them");
    levels.push_back(*value);
    begin = end + 1;
  }
  return levels;
}

setting_values settings_of_arguments(const parallel_settings& arguments) {
  setting_values values;
  for (std::size_t i = 0; i < setting_keys.size(); ++i) {
    auto& given = values.of[i];
    given.origin = "the argument " + std::string(setting_keys[i].name);
    const int value = checked_setting(setting_keys[i].in(arguments), given.origin);
    if (value != 0) given.value = value;
  }
  return values;
}

setting_values settings_of_environment(const environment& variables) {
  setting_values values;
  for (std::size_t i = 0; i < setting_keys.size(); ++i) {
    const auto text = variables(setting_keys[i].variable);
    if (!text) continue;
    values.of[i].value = parse_variable(setting_keys[i], *text);
    values.of[i].origin =
        setting_keys[i].flag != nullptr ? setting_keys[i].variable + ("=" + *text) : setting_keys[i].variable;
  }
  return values;
}

setting_values first_of(const std::vector<setting_values>& sources) {
  setting_values first;
  for (const setting_values& source : sources) {
    for (std::size_t i = 0; i < setting_keys.size(); ++i) {
      if (!first.of[i].value) first.of[i] = source.of[i];
    }
  }
  return first;
}

int given_now(setting key, const resolved_settings* known) {
  // What the program gave holds, whatever a variable has become.
  if (known != nullptr && known->arguments[key] != 0) return known->arguments[key];
  const std::string_view wanted = setting_keys[static_cast<std::size_t>(key)].variable;
  const auto variables = settings_of_environment([wanted](const char* name) -> std::optional<std::string> {
    return name == wanted ? environment_variable(name) : std::nullopt;
  });
  return known != nullptr ? first_of({variables, known->files})[key] : variables[key];
}

resolved_settings resolve_settings(const setting_values& arguments, const setting_values& variables,
                                   const setting_values& files) {
  resolved_settings resolved;
  resolved.given = first_of({arguments, variables, files});
  resolved.arguments = arguments;
  resolved.files = files;
  if (resolved.given[setting::use_ray] != 0)
    refuse_ray(resolved.given.of[static_cast<std::size_t>(setting::use_ray)].origin);
  for (std::size_t i = 0; i < setting_keys.size(); ++i)
    setting_keys[i].set(resolved.settings, resolved.given.of[i].value.value_or(0));
  resolved.settings.resolve_defaults();
  return resolved;
}

}  // namespace lenskit::detail
