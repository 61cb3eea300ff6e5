#include <lenskit/detail/os/cgroup.hpp>
#include <lenskit/detail/os/environment.hpp>
#include <lenskit/detail/os/text_file.hpp>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <string>
#include <string_view>

namespace lenskit::detail {
namespace {

namespace fs = std::filesystem;

// A mounted hierarchy: where it is mounted, and which of its groups is at the top of the mount.
struct mount {
  fs::path point;
  std::string top;
};

std::string contents(const fs::path& file) { return read_text_file(file).value_or(""); }

bool lists(const std::string& comma_separated, const std::string& item) {
  return ("," + comma_separated + ",").find("," + item + ",") != std::string::npos;
}

// The mount of `controller`'s hierarchy, of version 2 when `controller` is empty. A line of mountinfo reads
// "32 31 0:29 <top> <point> rw,relatime - <type> <source> <options>", with any number of fields before the dash.
std::optional<mount> find_mount(const fs::path& root, const std::string& controller) {
  std::istringstream file(contents(root / "proc/self/mountinfo"));
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string skipped, top, point, type, source, options;
    fields >> skipped >> skipped >> skipped >> top >> point;
    while (fields >> skipped && skipped != "-") {}
    fields >> type >> source >> options;
    if (controller.empty() ? type == "cgroup2" : type == "cgroup" && lists(options, controller))
      return mount{fs::path(point), top};
  }
  // Without /proc/self/mountinfo the usual places are worth a look.
  if (controller.empty()) return mount{"/sys/fs/cgroup", "/"};
  return mount{"/sys/fs/cgroup/" + controller, "/"};
}

// The group of this process in `controller`'s hierarchy; a line of /proc/self/cgroup reads "4:cpu,cpuacct:/group".
std::string find_group(const fs::path& root, const std::string& controller) {
  std::istringstream file(contents(root / "proc/self/cgroup"));
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? line.starts_with("0::") : lists(controllers, controller)) return line.substr(second + 1);
  }
  return "/";
}

// The part of `group` below the top of the mount. A group that is not below it is seen from another namespace, where
// the mount point itself is all that can be looked at.
fs::path below(const std::string& group, const std::string& top) {
  const std::string prefix = top == "/" ? "" : top;
  if (!group.starts_with(prefix) || group.find("..") != std::string::npos) return {};
  if (group.size() > prefix.size() && group[prefix.size()] != '/') return {};
  return fs::path(group.substr(prefix.size())).relative_path();
}

void append_directories(std::vector<fs::path>& into, const fs::path& root, const std::string& controller) {
  const auto mounted = find_mount(root, controller);
  if (!mounted) return;
  const fs::path top = root / mounted->point.relative_path();
  fs::path group = below(find_group(root, controller), mounted->top);
  for (; !group.empty(); group = group.parent_path()) into.push_back(top / group);
  into.push_back(top);
}

std::optional<double> positive_number(std::string_view text) {
  text = trimmed(text);
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || stop != text.data() + text.size() || !(value > 0)) return std::nullopt;
  return value;
}

constexpr double usual_period = 100'000;  // microseconds, the kernel's default

std::optional<cpu_quota> quota_of(const fs::path& group) {
  // Version 2: "<quota or max> <period>", version 1: the quota, or -1, and the period in files of their own.
  std::istringstream both(contents(group / "cpu.max"));
  std::string quota, period;
  if (both >> quota) {
    both >> period;
    if (const auto time = positive_number(quota))
      return cpu_quota{*time / positive_number(period).value_or(usual_period), group / "cpu.max"};
    return std::nullopt;
  }
  const auto time = positive_number(contents(group / "cpu.cfs_quota_us"));
  if (!time) return std::nullopt;
  const auto slice = positive_number(contents(group / "cpu.cfs_period_us"));
  return cpu_quota{*time / slice.value_or(usual_period), group / "cpu.cfs_quota_us"};
}

}  // namespace

std::vector<fs::path> cgroup_directories(const fs::path& root, const std::string& controller) {
  std::vector<fs::path> directories;
  append_directories(directories, root, "");
  append_directories(directories, root, controller);
  return directories;
}

std::optional<cpu_quota> find_cpu_quota(const fs::path& root) {
  std::optional<cpu_quota> tightest;
  for (const auto& group : cgroup_directories(root, "cpu")) {
    auto quota = quota_of(group);
    if (quota && (!tightest || quota->cpus < tightest->cpus)) tightest = std::move(quota);
  }
  return tightest;
}

}  // namespace lenskit::detail
