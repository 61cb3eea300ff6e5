#include <support/leaks.hpp>

#include <sys/mman.h>
#include <sys/wait.h>

#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <support/catch.hpp>

// The check that follows every test case is worth nothing unless it sees each kind of leak; here it is shown each,
// cleaned up before the test case ends.

using lenskit::tests::leaked;
using lenskit::tests::surroundings;

namespace {

bool mentions(const std::vector<std::string>& lines, const std::string& what) {
  for (const auto& line : lines)
    if (line.find(what) != std::string::npos) return true;
  return false;
}

}  // namespace

TEST_CASE("an unchanged process has leaked nothing") {
  CHECK(leaked(surroundings::now(), surroundings::now()).empty());
}

TEST_CASE("a child that still runs and a zombie are leaks, a reaped child is not") {
  const auto before = surroundings::now();
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  CHECK(mentions(leaked(before, surroundings::now()), "process " + std::to_string(child)));
  kill(child, SIGKILL);
  siginfo_t info{};
  REQUIRE(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0);
  CHECK(mentions(leaked(before, surroundings::now()), "state Z"));
  REQUIRE(waitpid(child, nullptr, 0) == child);
  CHECK(leaked(before, surroundings::now()).empty());
}

TEST_CASE("an orphaned grandchild is found by its tag") {
  const auto before = surroundings::now();
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const pid_t grandchild = fork();
    if (grandchild == 0) {
      pause();
      _exit(0);
    }
    _exit(write(ends[1], &grandchild, sizeof grandchild) == sizeof grandchild ? 0 : 1);
  }
  pid_t grandchild = 0;
  REQUIRE(read(ends[0], &grandchild, sizeof grandchild) == sizeof grandchild);
  close(ends[0]);
  close(ends[1]);
  REQUIRE(waitpid(child, nullptr, 0) == child);
  const auto left = leaked(before, surroundings::now());
  CHECK(mentions(left, "process " + std::to_string(grandchild)));
  CHECK(mentions(left, "a descendant"));
  kill(grandchild, SIGKILL);
}

TEST_CASE("a descriptor left open is a leak, also under a number that was in use before") {
  const int first = dup(STDERR_FILENO);
  const auto before = surroundings::now();
  const int second = memfd_create("lenskit-test", MFD_CLOEXEC);
  CHECK(mentions(leaked(before, surroundings::now()), "descriptor " + std::to_string(second)));
  REQUIRE(dup2(second, first) == first);
  close(second);
  CHECK(mentions(leaked(before, surroundings::now()), "descriptor " + std::to_string(first)));
  close(first);
  CHECK(leaked(before, surroundings::now()).empty());
}

TEST_CASE("shared memory that stays mapped is a leak, named or anonymous") {
  const auto before = surroundings::now();
  const int file = memfd_create("lenskit-test", MFD_CLOEXEC);
  REQUIRE(ftruncate(file, 4096) == 0);
  void* named = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file, 0);
  close(file);
  CHECK(mentions(leaked(before, surroundings::now()), "memfd:lenskit-test"));
  munmap(named, 4096);
  CHECK(leaked(before, surroundings::now()).empty());
  void* anonymous = mmap(nullptr, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(mentions(leaked(before, surroundings::now()), "mapping"));
  munmap(anonymous, 4096);
}

TEST_CASE("a temporary file that stays is a leak") {
  const auto before = surroundings::now();
  const auto path = std::filesystem::temp_directory_path() / "lenskit-left";
  std::ofstream(path) << "x";
  CHECK(mentions(leaked(before, surroundings::now()), "lenskit-left"));
  std::filesystem::remove(path);
  CHECK(leaked(before, surroundings::now()).empty());
}

// Not run with the others: tests/CMakeLists.txt runs it alone and demands that it fails.
TEST_CASE("a test case that passes but leaves a descriptor open", "[.leaks_on_purpose]") {
  CHECK(dup(STDERR_FILENO) > 0);
}
