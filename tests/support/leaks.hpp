// What a test case must not leave behind, and the check that runs after each of them.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

namespace lenskit::tests {

/// What the outside of this process looks like at one moment, as readable lines.
struct surroundings {
  std::map<int, std::string> processes;  ///< children, zombies too, and everything else that carries our tag
  std::set<std::string> descriptors;     ///< "7 -> socket:[1234]"
  std::set<std::string> mappings;        ///< memory mappings that come from the library
  std::set<std::string> files;           ///< in /dev/shm and the directory for temporary files

  static surroundings now();
};

/// What `after` has and `before` had not, one line each.
std::vector<std::string> leaked(const surroundings& before, const surroundings& after);

/// The number of test cases of this process that left something behind.
int cases_that_leaked() noexcept;

/// The environment variable that marks this process and all that descend from it.
inline constexpr const char* tag_variable = "LENSKIT_TEST_TAG";

}  // namespace lenskit::tests
