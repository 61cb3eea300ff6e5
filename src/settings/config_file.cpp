#include <lenskit/detail/os/text_file.hpp>
#include <lenskit/detail/settings/config_file.hpp>
#include <lenskit/error.hpp>

#include <toml++/toml.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <sstream>
#include <string_view>
#include <system_error>

namespace lenskit::detail {
namespace {

std::string shown(const toml::node& value) {
  std::ostringstream text;
  value.visit([&text](const auto& typed) { text << typed; });
  return text.str();
}

// One file while it is read: knows how to say where something is.
class config_reader {
 public:
  config_reader(const std::filesystem::path& file, const std::function<void(const std::string&)>& warn)
      : file_(file.string()), warn_(warn) {}

  config_file read() const {
    const toml::table root = parse();
    config_file config;
    if (const auto* parallel = table(root, "parallel")) {
      for (const auto& [key, value] : *parallel) read_parallel(key.str(), value, config.parallel);
    }
    if (const auto* random = table(root, "random")) {
      for (const auto& [key, value] : *random) {
        if (key.str() == "seed") {
          config.seed = static_cast<std::uint64_t>(integer(value, "random.seed", 0));
        } else {
          warn_unknown("random", key.str(), value);
        }
      }
    }
    return config;
  }

 private:
  toml::table parse() const {
    const auto text = read_text_file(file_);
    if (!text) throw settings_error("cannot read " + file_ + ": " + std::strerror(errno));
    try {
      return toml::parse(*text, file_);
    } catch (const toml::parse_error& error) {
      throw settings_error("cannot read " + file_ + ":" + std::to_string(error.source().begin.line) + ": " +
                           std::string(error.description()));
    }
  }

  std::string place(const toml::node& value) const { return file_ + ":" + std::to_string(value.source().begin.line); }

  [[noreturn]] void refuse(const toml::node& value, std::string_view key, std::string_view wanted) const {
    throw settings_error("cannot use " + std::string(key) + " = " + shown(value) + " in " + place(value) +
                         ": it must be " + std::string(wanted));
  }

  const toml::table* table(const toml::table& root, std::string_view name) const {
    const toml::node* node = root.get(name);
    if (node == nullptr) return nullptr;
    if (!node->is_table()) refuse(*node, name, "a table");
    return node->as_table();
  }

  std::int64_t integer(const toml::node& value, std::string_view key, std::int64_t least) const {
    const auto* number = value.as_integer();
    if (number == nullptr) refuse(value, key, "a whole number");
    if (number->get() < least) refuse(value, key, "at least " + std::to_string(least));
    return number->get();
  }

  void read_parallel(std::string_view key, const toml::node& value, setting_values& into) const {
    const std::string full = "parallel." + std::string(key);
    for (std::size_t i = 0; i < setting_keys.size(); ++i) {
      if (key != setting_keys[i].name) continue;
      into.of[i] = setting_keys[i].flag != nullptr ? flag(value, full) : number(value, full);
      return;
    }
    warn_unknown("parallel", key, value);
  }

  given_setting flag(const toml::node& value, const std::string& key) const {
    const auto* given = value.as_boolean();
    if (given == nullptr) refuse(value, key, "true or false");
    return {static_cast<int>(given->get()), key + " in " + place(value)};
  }

  given_setting number(const toml::node& value, const std::string& key) const {
    const std::int64_t given = integer(value, key, -1);
    if (given > std::numeric_limits<int>::max()) refuse(value, key, "a smaller number");
    if (given == 0) return {};
    return {static_cast<int>(given), place(value)};
  }

  void warn_unknown(std::string_view table, std::string_view key, const toml::node& value) const {
    warn_("unknown setting " + std::string(table) + "." + std::string(key) + " in " + place(value) + " is ignored");
  }

  std::string file_;
  const std::function<void(const std::string&)>& warn_;
};

}  // namespace

config_file read_config_file(const std::filesystem::path& file, const std::function<void(const std::string&)>& warn) {
  std::error_code error;
  const auto type = std::filesystem::status(file, error).type();
  if (type == std::filesystem::file_type::not_found) return {};
  // The parser takes a directory for an empty file, and would wait for a pipe.
  if (type != std::filesystem::file_type::regular && type != std::filesystem::file_type::none)
    throw settings_error("cannot read " + file.string() + ": it is not a file");
  return config_reader(file, warn).read();
}

}  // namespace lenskit::detail
