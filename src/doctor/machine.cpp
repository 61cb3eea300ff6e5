#include <lenskit/detail/os/cpu_count.hpp>
#include <lenskit/detail/share/memory_room.hpp>
#include <lenskit/detail/share/model_directory.hpp>
#include <lenskit/proc_count.hpp>

#include <fmt/format.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "sections.hpp"

namespace lenskit::doctor {
namespace {

namespace fs = std::filesystem;

// A line of /proc/meminfo: "MemTotal:  4030000 kB".
value memory_line(const std::string& name) {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string key;
    std::uint64_t kilobytes = 0;
    if (fields >> key >> kilobytes && key == name + ":") return value::bytes(kilobytes * 1024);
  }
  return {};
}

struct room {
  value shown;
  std::uint64_t free = 0;
  std::string error{};
};

room examine_directory(const fs::path& path) {
  std::error_code error;
  const bool directory = fs::is_directory(path, error);
  if (!directory) return {value::table{{"path", path.string()}}, 0, error ? error.message() : "not a directory"};
  const auto space = fs::space(path, error);
  if (error) return {value::table{{"path", path.string()}}, 0, error.message()};
  const bool writable = access(path.c_str(), W_OK | X_OK) == 0;
  return {value::table{{"path", path.string()},
                       {"size", value::bytes(space.capacity)},
                       {"free", value::bytes(space.available)},
                       {"writable", writable}},
          space.available, writable ? "" : "not writable"};
}

}  // namespace

value examine_cpus(findings& found) {
  const auto count = detail::count_cpus();
  value::table cpus{{"hardware", count.hardware}, {"affinity", count.affinity}};
  if (count.quota) {
    cpus.emplace_back("quota", *count.quota);
    cpus.emplace_back("quota_file", count.quota_file);
  } else {
    cpus.emplace_back("quota", value());
  }
  if (count.scheduled) {
    cpus.emplace_back("slurm", *count.scheduled);
    cpus.emplace_back("slurm_variable", count.scheduled_by);
  }
  cpus.emplace_back("chosen", count.chosen);
  cpus.emplace_back("because_of", count.reason);
  try {
    const int workers = proc_count({.max_default = 4});
    cpus.emplace_back("workers",
                      value(workers).shown_as(fmt::format("{} a pool, if neither n_jobs nor LK_NUM_PROCS says "
                                                          "otherwise: half of the CPUs, 4 at most",
                                                          workers)));
    if (workers > count.chosen)
      found.warnings.push_back({fmt::format("an invoker has {} workers on {} CPUs by default", workers, count.chosen),
                                "a smaller LK_NUM_PROCS or num_procs"});
  } catch (const std::exception&) {
    // a bad variable is found by the settings
  }
  return cpus;
}

value examine_memory(findings& found) {
  value::table memory{{"total", memory_line("MemTotal")},
                      {"available", memory_line("MemAvailable")},
                      {"shared", memory_line("Shmem")},
                      {"swap_free", memory_line("SwapFree")}};
  constexpr std::size_t little = std::size_t{64} << 20;
  if (const auto left = detail::find_memory_room()) {
    memory.emplace_back("model_room", value::bytes(left->bytes));
    memory.emplace_back("limited_by", left->where);
    if (left->bytes < little)
      found.warnings.push_back(
          {fmt::format("there are only {} MiB of memory for models", left->bytes >> 20),
           fmt::format("more room in {}, or export LK_TEMP_DIR=DIRECTORY for files", left->where)});
  }
  return memory;
}

value examine_storage(findings& found) {
  const auto shm = examine_directory("/dev/shm");
  if (!shm.error.empty()) found.warnings.push_back({"/dev/shm: " + shm.error});

  const auto chosen = detail::chosen_model_directory();
  value::table storage{{"dev_shm", shm.shown}, {"lk_temp_dir", chosen ? value(chosen->string()) : value()}};
  try {
    const fs::path path = detail::default_model_directory();
    const auto models = examine_directory(path);
    storage.emplace_back("model_files", models.shown);
    if (!models.error.empty()) {
      found.problems.push_back({fmt::format("{} {} for model files: {}", chosen ? "LK_TEMP_DIR" : "the directory",
                                            path.string(), models.error),
                                "export LK_TEMP_DIR=DIRECTORY, one that you may write to"});
      return storage;
    }
    (void)detail::model_directory(path);  // refuses what a stranger could tamper with
  } catch (const std::exception& error) {
    found.problems.push_back({error.what(), "export LK_TEMP_DIR=DIRECTORY, one that only you may write to"});
  }
  return storage;
}

}  // namespace lenskit::doctor
