// A model to store, and what the tests of storing it ask.
#pragma once

#include <lenskit/shared_array.hpp>

#include <support/in_child.hpp>

#include <cstddef>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

namespace lenskit::tests {

struct model {
  shared_array<int> items;
  std::vector<std::string> names;
  friend bool operator==(const model&, const model&) = default;
};

inline model make(std::size_t items) { return {shared_array<int>(std::vector<int>(items, 7)), {"a", "b"}}; }

inline std::size_t files_in(const std::filesystem::path& directory) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(directory), std::filesystem::directory_iterator()));
}

// Runs `work` in a child and tells whether it came to its end or was killed.
template <class Work>
bool survives(Work work) {
  return holds_in_child([&] {
    work();
    return true;
  });
}

}  // namespace lenskit::tests
