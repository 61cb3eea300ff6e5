#include <lenskit/detail/os/cgroup.hpp>
#include <lenskit/detail/os/text_file.hpp>
#include <support/call_faults.hpp>
#include <support/catch.hpp>
#include <support/file_tree.hpp>

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>

using lenskit::detail::read_text_file;
using lenskit::detail::sys::call;
using lenskit::tests::call_faults;

namespace {

namespace fs = std::filesystem;

// Whether a program that another thread started now would inherit what refers to this file.
bool would_be_inherited(const fs::path& file) {
  for (const auto& each : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // the iterator's own
    if (fs::read_symlink(each.path(), gone) != file) continue;
    if ((::fcntl(std::stoi(each.path().filename()), F_GETFD) & FD_CLOEXEC) == 0) return true;
  }
  return false;
}

TEST_CASE("a text file is read whole, in whatever pieces it comes") {
  lenskit::tests::file_tree tree;
  const std::string text(10'000, 'x');
  const auto file = tree.write("file", text);
  CHECK(read_text_file(file) == text);
  CHECK(read_text_file(tree.write("empty", "")) == "");
  const call_faults piecemeal({}, [](call, std::size_t bytes) { return std::min<std::size_t>(bytes, 7); });
  CHECK(read_text_file(file) == text);
}

TEST_CASE("a text file that cannot be read is none, and errno says why") {
  lenskit::tests::file_tree tree;
  CHECK(read_text_file(tree.root() / "missing") == std::nullopt);
  CHECK(errno == ENOENT);
  const auto file = tree.write("file", "text");
  const call_faults broken([](call which) { return which == call::read ? EIO : 0; });
  CHECK(read_text_file(file) == std::nullopt);
  CHECK(errno == EIO);
}

TEST_CASE("F5: files of the system are read without a descriptor that a program would inherit", "[no_tsan]") {
  const auto file = fs::path("/proc") / std::to_string(::getpid()) / "mountinfo";
  int reads = 0;
  bool inherited = false;
  {
    const call_faults watch([&](call which) {
      if (which == call::read) {
        ++reads;
        inherited |= would_be_inherited(file);
      }
      return 0;
    });
    CHECK_FALSE(lenskit::detail::cgroup_directories("/", "memory").empty());
  }
  CHECK(reads > 0);
  CHECK_FALSE(inherited);
}

}  // namespace
