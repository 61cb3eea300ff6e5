#include <lenskit/detail/os/cpu_count.hpp>

#include <lenskit/proc_count.hpp>
#include <support/catch.hpp>
#include <support/file_tree.hpp>

#include <sched.h>

#include <map>
#include <thread>

using lenskit::detail::count_cpus;
using lenskit::detail::cpu_count_sources;
using lenskit::tests::file_tree;

namespace {

cpu_count_sources machine(const file_tree& tree, int hardware = 16, int affinity = 16,
                          std::map<std::string, std::string> variables = {}) {
  cpu_count_sources sources;
  sources.root = tree.root();
  sources.hardware = hardware;
  sources.affinity = affinity;
  sources.variables = [variables](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
  return sources;
}

// A machine with version 2 alone, whose process is in /user/job.
file_tree version_2() {
  file_tree tree;
  tree.write("proc/self/mountinfo", "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
  tree.write("proc/self/cgroup", "0::/user/job\n");
  return tree;
}

// A machine with version 1, whose process is in a container's group.
file_tree version_1(const std::string& top, const std::string& group) {
  file_tree tree;
  tree.write("proc/self/mountinfo",
             "30 24 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
             "32 24 0:29 " +
                 top + " /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n");
  tree.write("proc/self/cgroup", "5:memory:/\n4:cpu,cpuacct:" + group + "\n");
  return tree;
}

}  // namespace

TEST_CASE("without limits the count is the hardware's") {
  const file_tree tree;
  const auto count = count_cpus(machine(tree, 12, 12));
  CHECK(count.chosen == 12);
  CHECK(count.reason == "hardware");
  CHECK_FALSE(count.quota.has_value());
}

TEST_CASE("affinity limits the count") {
  const file_tree tree;
  const auto count = count_cpus(machine(tree, 12, 5));
  CHECK(count.chosen == 5);
  CHECK(count.reason == "affinity");
}

TEST_CASE("cpu.max of the own group limits the count") {
  auto tree = version_2();
  tree.write("sys/fs/cgroup/user/job/cpu.max", "300000 100000\n");
  const auto count = count_cpus(machine(tree));
  CHECK(count.chosen == 3);
  CHECK(count.quota == 3.0);
  CHECK(count.reason.find("user/job/cpu.max") != std::string::npos);
}

TEST_CASE("the tightest quota of all groups around the process counts") {
  auto tree = version_2();
  tree.write("sys/fs/cgroup/user/job/cpu.max", "800000 100000\n");
  tree.write("sys/fs/cgroup/user/cpu.max", "400000 200000\n");
  tree.write("sys/fs/cgroup/cpu.max", "600000 100000\n");
  CHECK(count_cpus(machine(tree)).chosen == 2);
}

TEST_CASE("a quota outside of the process's own groups does not count") {
  auto tree = version_2();
  tree.write("sys/fs/cgroup/other/cpu.max", "100000 100000\n");
  CHECK(count_cpus(machine(tree)).chosen == 16);
}

TEST_CASE("fractions of a quota round up, and to one at least") {
  auto tree = version_2();
  tree.write("sys/fs/cgroup/user/job/cpu.max", "150000 100000\n");
  CHECK(count_cpus(machine(tree)).chosen == 2);
  tree.write("sys/fs/cgroup/user/job/cpu.max", "1000 100000\n");
  CHECK(count_cpus(machine(tree)).chosen == 1);
}

TEST_CASE("a cpu.max that limits nothing is ignored") {
  for (const char* text : {"max 100000\n", "", "\n", "max\n", "garbage\n", "-1 100000\n", "0 100000\n"}) {
    auto tree = version_2();
    tree.write("sys/fs/cgroup/user/job/cpu.max", text);
    CHECK(count_cpus(machine(tree)).chosen == 16);
  }
}

TEST_CASE("a cpu.max without a period has the usual one") {
  auto tree = version_2();
  tree.write("sys/fs/cgroup/user/job/cpu.max", "250000\n");
  CHECK(count_cpus(machine(tree)).chosen == 3);
}

TEST_CASE("a namespace shows its own group as the top of the mount") {
  auto tree = version_2();
  tree.write("proc/self/cgroup", "0::/../elsewhere\n");
  tree.write("sys/fs/cgroup/cpu.max", "200000 100000\n");
  CHECK(count_cpus(machine(tree)).chosen == 2);
}

TEST_CASE("version 1 quotas limit the count") {
  auto tree = version_1("/", "/docker/abc");
  tree.write("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "-1\n");
  tree.write("sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us", "500000\n");
  tree.write("sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us", "200000\n");
  CHECK(count_cpus(machine(tree)).chosen == 3);
}

TEST_CASE("version 1 in a container, where the mount starts at the container's group") {
  auto tree = version_1("/docker/abc", "/docker/abc/inner");
  tree.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "400000\n");
  tree.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  CHECK(count_cpus(machine(tree)).chosen == 4);
  tree.write("sys/fs/cgroup/cpu,cpuacct/inner/cpu.cfs_quota_us", "200000\n");
  tree.write("sys/fs/cgroup/cpu,cpuacct/inner/cpu.cfs_period_us", "100000\n");
  CHECK(count_cpus(machine(tree)).chosen == 2);
}

TEST_CASE("a container that hides mountinfo is looked up in the usual places") {
  file_tree tree;
  tree.write("sys/fs/cgroup/cpu.max", "200000 100000\n");
  CHECK(count_cpus(machine(tree)).chosen == 2);
  file_tree old;
  old.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000\n");
  CHECK(count_cpus(machine(old)).chosen == 3);
}

TEST_CASE("Slurm's variables limit the count, those of the task before those of the node") {
  const file_tree tree;
  CHECK(count_cpus(machine(tree, 16, 16, {{"SLURM_CPUS_ON_NODE", "6"}})).chosen == 6);
  const auto both = count_cpus(machine(tree, 16, 16, {{"SLURM_CPUS_ON_NODE", "6"}, {"SLURM_CPUS_PER_TASK", "3"}}));
  CHECK(both.chosen == 3);
  CHECK(both.reason == "SLURM_CPUS_PER_TASK");
  CHECK(count_cpus(machine(tree, 4, 4, {{"SLURM_CPUS_PER_TASK", "32"}})).chosen == 4);
  CHECK(count_cpus(machine(tree, 4, 4, {{"SLURM_CPUS_PER_TASK", "8(x2)"}})).chosen == 4);
  CHECK(count_cpus(machine(tree, 4, 4, {{"SLURM_CPUS_PER_TASK", "0"}})).chosen == 4);
}

TEST_CASE("the count follows the affinity of this very process") {
  cpu_set_t before;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  if (CPU_COUNT(&before) < 2) LENSKIT_SKIP("there is only one CPU");
  cpu_set_t one;
  CPU_ZERO(&one);
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &before)) continue;
    CPU_SET(cpu, &one);
    break;
  }
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  const int limited = lenskit::effective_cpu_count();
  sched_setaffinity(0, sizeof before, &before);
  CHECK(limited == 1);
}
