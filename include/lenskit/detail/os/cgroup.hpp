// What the control groups around this process allow it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace lenskit::detail {

/// A limit on CPU time, in CPUs, and the file that sets it.
struct cpu_quota {
  double cpus;
  std::filesystem::path file;
};

/// The tightest CPU quota of the process's control group and all groups around it, of both versions of the interface.
/// `root` is the directory that stands for `/`. Unreadable or malformed files count as no limit: a container may hide
/// them, and no count of CPUs is worth an exception.
std::optional<cpu_quota> find_cpu_quota(const std::filesystem::path& root);

/// The directories of the process's control group for `controller` ("cpu", "memory"), innermost first, up to the mount
/// point; version 2 and version 1 one after the other.
std::vector<std::filesystem::path> cgroup_directories(const std::filesystem::path& root, const std::string& controller);

}  // namespace lenskit::detail
