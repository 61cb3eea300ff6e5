#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/share/model_directory.hpp>

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "sections.hpp"

namespace lenskit::doctor {
namespace {

namespace fs = std::filesystem;
namespace sys = detail::sys;

// Owners hold a lock on their files, so a file without one is left over.
bool has_owner(const fs::path& path) {
  const auto gate = detail::descriptor_gate();
  const detail::descriptor file(sys::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  if (!file) return true;  // a stranger's, or gone by now
  return flock(file.get(), LOCK_EX | LOCK_NB) != 0;
}

value::list files_without_owner() {
  std::set<fs::path> directories{"/dev/shm"};
  try {
    directories.insert(detail::default_model_directory());
  } catch (const std::exception&) {
    // the storage section says so
  }
  value::list files;
  for (const auto& directory : directories) {
    std::error_code error;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
      const auto name = entry->path().filename().string();
      if (name.starts_with("lenskit-") && name.ends_with(".model") && !has_owner(entry->path()))
        files.emplace_back(entry->path().string());
    }
  }
  return files;
}

// A pool's processes are named after what they are; without their parent they should end within a second. One that has
// ended and waits for process 1 to notice is nobody's trouble.
value::list processes_without_parent() {
  value::list processes;
  std::error_code error;
  for (fs::directory_iterator entry("/proc", error), end; !error && entry != end; entry.increment(error)) {
    const auto pid = entry->path().filename().string();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    // "<pid> (<name>) <state> <parent> ...", and the name may hold anything.
    std::ifstream file(entry->path() / "stat");
    const std::string line{std::istreambuf_iterator<char>(file), {}};
    const auto open = line.find('(');
    const auto close = line.rfind(')');
    if (open == std::string::npos || close == std::string::npos) continue;
    const auto name = line.substr(open + 1, close - open - 1);
    std::istringstream rest(line.substr(close + 1));
    std::string state;
    int parent = 0;
    if (name.starts_with("lenskit-") && name != "lenskit-doctor" && rest >> state >> parent && state != "Z" &&
        parent == 1)
      processes.emplace_back(fmt::format("{} {}", pid, name));
  }
  return processes;
}

}  // namespace

value examine_leftovers(findings& found) {
  auto files = files_without_owner();
  auto processes = processes_without_parent();
  if (!files.empty())
    found.warnings.push_back({fmt::format("{} model files were left over", files.size()),
                              "nothing: the next model in their directory removes them"});
  if (!processes.empty())
    found.warnings.push_back({fmt::format("{} processes were left over", processes.size()),
                              "lenskit-doctor --all lists them; kill -KILL those that stay"});
  return value::table{{"files", std::move(files)}, {"processes", std::move(processes)}};
}

}  // namespace lenskit::doctor
