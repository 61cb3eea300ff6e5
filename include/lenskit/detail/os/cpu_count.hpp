// How many CPUs this process may really use, and why.
#pragma once

#include <lenskit/detail/os/environment.hpp>

#include <filesystem>
#include <optional>
#include <string>

namespace lenskit::detail {

/// Where the numbers come from. The defaults ask the system; a test puts in its own.
struct cpu_count_sources {
  std::filesystem::path root = "/";  ///< holds proc/self/cgroup, proc/self/mountinfo and sys/fs/cgroup
  std::optional<int> hardware{};     ///< CPUs that are online
  std::optional<int> affinity{};     ///< CPUs that the scheduler may put the process on
  environment variables = environment_variable;
};

/// All that limits the number of CPUs.
struct cpu_count {
  int hardware = 1;
  int affinity = 1;
  std::optional<double> quota{};   ///< CPUs, of the tightest control group
  std::string quota_file{};        ///< that sets it
  std::optional<int> scheduled{};  ///< CPUs that Slurm gave to the task
  std::string scheduled_by{};      ///< the variable that says so
  int chosen = 1;                  ///< the least of them, at least 1
  std::string reason{};            ///< which of them that was
};

cpu_count count_cpus(const cpu_count_sources& sources = {});

}  // namespace lenskit::detail
