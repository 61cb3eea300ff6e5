// A directory of a test's own, with the files that the test writes, gone when the test ends.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace lenskit::tests {

class file_tree {
 public:
  file_tree() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tree-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot create directory " + pattern);
    root_ = pattern;
  }
  file_tree(file_tree&& other) noexcept : root_(std::exchange(other.root_, {})) {}
  file_tree(const file_tree&) = delete;
  file_tree& operator=(const file_tree&) = delete;
  ~file_tree() {
    std::error_code ignored;
    if (!root_.empty()) std::filesystem::remove_all(root_, ignored);
  }

  [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_; }

  std::filesystem::path write(const std::filesystem::path& name, const std::string& text) {
    const auto file = root_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
    return file;
  }

 private:
  std::filesystem::path root_;
};

}  // namespace lenskit::tests
