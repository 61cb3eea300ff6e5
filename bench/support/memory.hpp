// What a program and all that it forked hold of the memory.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>

namespace bench {

/// Bytes of the proportional set size: memory shared by n processes counts 1/n for each of them.
[[nodiscard]] inline double pss_of(const std::filesystem::path& process) {
  std::ifstream in(process / "smaps_rollup");
  constexpr double kibibyte = 1024;
  for (std::string word; in >> word;) {
    double kilobytes = 0;
    if (word == "Pss:" && in >> kilobytes) return kilobytes * kibibyte;
  }
  return 0;
}

/// The same, with that of all children and theirs.
[[nodiscard]] inline double pss_of_tree(const std::filesystem::path& process = "/proc/self") {
  auto sum = pss_of(process);
  std::error_code gone;
  for (const auto& thread : std::filesystem::directory_iterator(process / "task", gone)) {
    std::ifstream children(thread.path() / "children");
    for (std::string pid; children >> pid;) sum += pss_of_tree("/proc/" + pid);
  }
  return sum;
}

}  // namespace bench
