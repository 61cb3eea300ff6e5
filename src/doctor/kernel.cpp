#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/os/system.hpp>

#include <linux/memfd.h>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "sections.hpp"

namespace lenskit::doctor {
namespace {

using detail::descriptor;
using detail::descriptor_gate;
namespace sys = detail::sys;

value first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  return std::getline(file, line) ? value(line) : value();
}

// The word in brackets is the one in force: "always [madvise] never".
value setting_in_force(const char* path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return {};
  const auto begin = line.find('[');
  const auto end = line.find(']', begin);
  return begin == std::string::npos || end == std::string::npos ? line : line.substr(begin + 1, end - begin - 1);
}

// What the call said: empty when it worked.
std::string try_pidfd() {
  const auto gate = descriptor_gate();
  const descriptor self(sys::pidfd_open(getpid()));
  return self ? "" : std::strerror(errno);
}

std::string try_sealed_memfd() {
  const auto gate = descriptor_gate();
  const descriptor memory(sys::memfd_create("lenskit-doctor", MFD_ALLOW_SEALING));
  if (!memory) return std::strerror(errno);
  const long seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
  return sys::fcntl(memory.get(), F_ADD_SEALS, seals) == 0 ? "" : std::strerror(errno);
}

}  // namespace

value examine_kernel(findings& found) {
  const auto pidfd = try_pidfd();
  const auto memfd = try_sealed_memfd();
  if (!pidfd.empty())
    found.problems.push_back({"cannot watch processes (pidfd_open): " + pidfd,
                              "a kernel from 5.3 on, and a container that does not forbid the call"});
  if (!memfd.empty())
    found.problems.push_back({"cannot share memory (memfd_create): " + memfd,
                              "a container that does not forbid the call, or export LK_TEMP_DIR=DIRECTORY for files"});
  rlimit files{};
  rlimit processes{};
  const auto limit = [](rlim_t number) { return number == RLIM_INFINITY ? value("unlimited") : value(number); };
  value::table kernel{{"pidfd", pidfd.empty()},
                      {"sealed_memfd", memfd.empty()},
                      {"transparent_huge_pages", setting_in_force("/sys/kernel/mm/transparent_hugepage/enabled")},
                      {"shared_huge_pages", setting_in_force("/sys/kernel/mm/transparent_hugepage/shmem_enabled")},
                      {"free_2_mib_pages", first_line("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")}};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) kernel.emplace_back("open_files", limit(files.rlim_cur));
  if (getrlimit(RLIMIT_NPROC, &processes) == 0) kernel.emplace_back("processes", limit(processes.rlim_cur));
  return kernel;
}

}  // namespace lenskit::doctor
