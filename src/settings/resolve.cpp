#include <lenskit/detail/settings/resolve.hpp>
#include <lenskit/error.hpp>

#include <algorithm>
#include <cctype>

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

}  // namespace

int checked_setting(int value, const std::string& origin) {
  if (value < -1)
    throw settings_error("cannot use " + origin + " = " + std::to_string(value) + ": it must be -1 or more");
  return value;
}

void refuse_ray(const std::string& origin) {
  throw settings_error("cannot use Ray, which " + origin +
                       " asks for: this build has only the engines in_process, threads and processes");
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
    values.origins[i] = "the argument " + std::string(setting_keys[i].name);
    values.numbers[i] = checked_setting(arguments.*setting_keys[i].number, values.origins[i]);
  }
  if (arguments.use_ray) {
    values.use_ray = true;
    values.use_ray_origin = "the argument use_ray";
  }
  return values;
}

setting_values settings_of_environment(const environment& variables) {
  setting_values values;
  for (std::size_t i = 0; i < setting_keys.size(); ++i) {
    const char* variable = setting_keys[i].variable;
    values.origins[i] = variable;
    const auto text = variables(variable);
    if (!text) continue;
    if (i == static_cast<std::size_t>(setting::procs)) {
      values.numbers[i] = parse_levels(variable, *text).front();
      continue;
    }
    const auto value = parse_int(*text);
    if (!value || *value < -1) refuse(variable, *text, "it must be a number of at least -1");
    values.numbers[i] = *value;
  }
  if (const auto text = variables("LK_USE_RAY")) {
    values.use_ray = parse_flag("LK_USE_RAY", *text);
    values.use_ray_origin = "LK_USE_RAY=" + *text;
  }
  return values;
}

setting_values first_of(const std::vector<setting_values>& sources) {
  setting_values first;
  for (const setting_values& source : sources) {
    for (std::size_t i = 0; i < setting_keys.size(); ++i) {
      if (first.numbers[i] != 0 || source.numbers[i] == 0) continue;
      first.numbers[i] = source.numbers[i];
      first.origins[i] = source.origins[i];
    }
    if (!first.use_ray && source.use_ray) {
      first.use_ray = source.use_ray;
      first.use_ray_origin = source.use_ray_origin;
    }
  }
  return first;
}

resolved_settings resolve_settings(const setting_values& arguments, const setting_values& variables,
                                   const setting_values& files) {
  resolved_settings resolved;
  resolved.given = first_of({arguments, variables, files});
  resolved.arguments = arguments;
  resolved.files = files;
  if (resolved.given.use_ray.value_or(false)) refuse_ray(resolved.given.use_ray_origin);
  for (std::size_t i = 0; i < setting_keys.size(); ++i)
    resolved.settings.*setting_keys[i].number = resolved.given.numbers[i];
  resolved.settings.resolve_defaults();
  return resolved;
}

}  // namespace lenskit::detail
