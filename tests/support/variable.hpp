// An environment variable that has a value, or none, while this lives.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>

namespace lenskit::tests {

class variable {
 public:
  variable(std::string name, const std::optional<std::string>& value) : name_(std::move(name)) {
    if (const char* now = std::getenv(name_.c_str())) before_ = now;
    set(value);
  }
  ~variable() { set(before_); }
  variable(const variable&) = delete;
  variable& operator=(const variable&) = delete;

 private:
  void set(const std::optional<std::string>& value) const {
    if (value) {
      setenv(name_.c_str(), value->c_str(), 1);
    } else {
      unsetenv(name_.c_str());
    }
  }

  std::string name_;
  std::optional<std::string> before_;
};

}  // namespace lenskit::tests
