#include <lenskit/detail/share/memory_room.hpp>
#include <lenskit/error.hpp>

#include <support/catch.hpp>
#include <support/file_tree.hpp>
#include <support/message_of.hpp>

#include <string>

namespace d = lenskit::detail;
using lenskit::tests::file_tree;
using lenskit::tests::mentions;

namespace {

file_tree machine() {
  file_tree root;
  root.write("proc/meminfo",
             "MemTotal:       2000 kB\nMemAvailable:   1000 kB\nHugePages_Total:   0\nSwapFree:   24 kB\n");
  root.write("proc/self/cgroup", "0::/job\n");
  root.write("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  return root;
}

}  // namespace

TEST_CASE("the room for a model is what the machine has left") {
  const auto root = machine();
  const auto room = d::find_memory_room(root.root());
  REQUIRE(room);
  CHECK(room->bytes == 1024 * 1024);
  CHECK(room->where == "the memory of this machine");
}

TEST_CASE("S13: the memory limit of a control group counts, and cached files do not") {
  auto root = machine();
  root.write("sys/fs/cgroup/job/memory.max", "500000\n");
  root.write("sys/fs/cgroup/job/memory.current", "300000\n");
  root.write("sys/fs/cgroup/job/memory.stat", "anon 200000\ninactive_file 100000\n");
  const auto room = d::find_memory_room(root.root());
  REQUIRE(room);
  CHECK(room->bytes == 300000);
  CHECK(mentions(room->where, {"memory limit", "job"}));
  CHECK_NOTHROW(d::check_memory_room(300000, root.root()));
  try {
    d::check_memory_room(300001, root.root());
    FAIL("more than there is was accepted");
  } catch (const lenskit::no_space& e) {
    CHECK(e.needed() == 300001);
    CHECK(e.available() == 300000);
    CHECK(mentions(e.where(), {"job"}));
  }
}

TEST_CASE("a control group without a limit allows what the machine has") {
  auto root = machine();
  root.write("sys/fs/cgroup/job/memory.max", "max\n");
  root.write("sys/fs/cgroup/job/memory.current", "300000\n");
  CHECK(d::find_memory_room(root.root())->bytes == 1024 * 1024);
}

TEST_CASE("where nothing can be found out, nothing is refused") {
  const file_tree root;
  CHECK_FALSE(d::find_memory_room(root.root()));
  CHECK_NOTHROW(d::check_memory_room(std::size_t{1} << 60, root.root()));
}
