#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/share/model_directory.hpp>
#include <lenskit/error.hpp>

#include <support/catch.hpp>
#include <support/file_tree.hpp>
#include <support/message_of.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>

namespace d = lenskit::detail;
namespace fs = std::filesystem;
using lenskit::persist_error;
using lenskit::tests::file_tree;
using lenskit::tests::mentions;
using lenskit::tests::message_of;

namespace {

std::size_t files_in(const fs::path& directory) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

// A file system that has no nameless files.
struct no_nameless final : d::sys::interceptor {
  no_nameless() { d::sys::intercept(this); }
  ~no_nameless() override { d::sys::intercept(nullptr); }
  int fail(d::sys::call which) noexcept override {
    return which == d::sys::call::openat && ++opened == 1 ? EOPNOTSUPP : 0;
  }
  int opened = 0;
};

int named = 0;
std::string counted_name() {
  std::string digits(32, '0');
  digits.back() = static_cast<char>('0' + named++);
  return "lenskit-" + digits + ".model";
}
struct counted_names {
  counted_names() {
    named = 0;
    d::use_names(counted_name);
  }
  ~counted_names() { d::use_names(nullptr); }
};

}  // namespace

TEST_CASE("a new file has no name until it is given one") {
  const file_tree tree;
  const d::model_directory directory(tree.root());
  const auto file = directory.create();
  CHECK(files_in(tree.root()) == 0);
  const auto name = directory.name(file);
  CHECK(fs::exists(tree.root() / name));
  directory.remove(name);
  CHECK(files_in(tree.root()) == 0);
}

TEST_CASE("S5: a name that is taken is not reused, another is tried") {
  file_tree tree;
  const counted_names names;
  for (int i = 0; i < 3; ++i) tree.write(counted_name(), "taken");
  named = 0;
  const d::model_directory directory(tree.root());
  SECTION("on a file system with nameless files") { CHECK(directory.name(directory.create()).ends_with("3.model")); }
  SECTION("on one without") {
    const no_nameless hook;
    const auto file = directory.create();
    CHECK(file.named.ends_with("3.model"));
    CHECK(directory.name(file) == file.named);
  }
  for (int i = 0; i < 3; ++i)
    CHECK(fs::file_size(tree.root() / ("lenskit-" + std::string(31, '0') + char('0' + i) + ".model")) == 5);
}

TEST_CASE("H4: where no file can be reached by its number, a new one has a name from the start, and is read by it") {
  struct no_proc final : d::sys::interceptor {
    no_proc() { d::sys::intercept(this); }
    ~no_proc() override { d::sys::intercept(nullptr); }
    int fail(d::sys::call which) noexcept override { return which == d::sys::call::open ? ENOENT : 0; }
  };
  const file_tree tree;
  const d::model_directory directory(tree.root());
  const no_proc hook;
  const auto file = directory.create();
  CHECK(fs::exists(tree.root() / file.named));
  CHECK(directory.name(file) == file.named);
  const auto readable = directory.reopen_for_reading(file);
  CHECK(::write(readable.get(), "x", 1) < 0);
  // Another file under its name is not taken for it.
  directory.remove(file.named);
  CHECK_THROWS_AS(directory.reopen_for_reading(file), persist_error);
}

TEST_CASE("S6: a file is private whatever the umask") {
  const file_tree tree;
  const d::model_directory directory(tree.root());
  for (const mode_t mask : {0000U, 0077U, 0777U}) {
    const auto before = ::umask(mask);
    const auto file = directory.create();
    ::umask(before);
    struct stat status {};
    REQUIRE(::fstat(file.file.get(), &status) == 0);
    CHECK((status.st_mode & 07777U) == 0600);
  }
}

TEST_CASE("S7: a directory in which everybody may replace files is refused") {
  const file_tree tree;
  ::chmod(tree.root().c_str(), 0777);
  CHECK(mentions(message_of<persist_error>([&] { d::model_directory directory(tree.root()); }),
                 {tree.root().string(), "everybody"}));
  ::chmod(tree.root().c_str(), 01777);
  CHECK_NOTHROW(d::model_directory(tree.root()));
}

TEST_CASE("S7: a directory or a link that belongs to a stranger is refused") {
  if (::geteuid() != 0) LENSKIT_SKIP("only root can make a stranger's files");
  const file_tree tree;
  constexpr uid_t stranger = 12345;
  fs::create_directory(tree.root() / "theirs");
  REQUIRE(::chown((tree.root() / "theirs").c_str(), stranger, stranger) == 0);
  CHECK(mentions(message_of<persist_error>([&] { d::model_directory directory(tree.root() / "theirs"); }),
                 {"belongs to another user"}));
  fs::create_directory_symlink(tree.root(), tree.root() / "trap");
  CHECK_NOTHROW(d::model_directory(tree.root() / "trap"));
  REQUIRE(::lchown((tree.root() / "trap").c_str(), stranger, stranger) == 0);
  CHECK(mentions(message_of<persist_error>([&] { d::model_directory directory(tree.root() / "trap"); }),
                 {"symbolic link of another user"}));
}

TEST_CASE("what is no directory, or is not there, is refused by name") {
  file_tree tree;
  const auto file = tree.write("file", "");
  CHECK(mentions(message_of<persist_error>([&] { d::model_directory directory(file); }), {"file", "Not a directory"}));
  CHECK(mentions(message_of<persist_error>([&] { d::model_directory directory(tree.root() / "none"); }),
                 {"none", "No such file or directory"}));
}

TEST_CASE("sweeping removes files of dead owners, and nothing else") {
  file_tree tree;
  const auto dead = tree.write("lenskit-0123456789abcdef0123456789abcdef.model", "left behind");
  const auto alike = tree.write("lenskit-0123456789abcdef0123456789abcdeX.model", "the user's");
  const auto other = tree.write("ratings.csv", "the user's");
  const d::model_directory directory(tree.root());
  const auto file = directory.create();
  const auto alive = directory.name(file);
  fs::create_symlink(other, tree.root() / "lenskit-1123456789abcdef0123456789abcdef.model");
  directory.sweep();
  CHECK_FALSE(fs::exists(dead));
  CHECK(fs::exists(alike));
  CHECK(fs::exists(other));
  CHECK(fs::exists(tree.root() / alive));
  CHECK(files_in(tree.root()) == 4);
}
