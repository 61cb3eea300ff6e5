#define CATCH_CONFIG_EXTERNAL_INTERFACES  // Catch2 2: the listener's base class
#include <support/leaks.hpp>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>
#include <thread>

#include <support/catch.hpp>

namespace lenskit::tests {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

int leaking_cases = 0;

// A process may end while it is read about, which the stream's buffer throws; `<<` keeps it to itself.
std::string contents(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// "pid (name) state ppid ...": the name may hold anything, so the rest starts after its last parenthesis.
struct process_line {
  std::string name;
  char state = '?';
  pid_t parent = 0;
};

process_line parse_stat(const std::string& stat) {
  process_line result;
  const auto open = stat.find('('), close = stat.rfind(')');
  if (open == std::string::npos || close == std::string::npos) return result;
  result.name = stat.substr(open + 1, close - open - 1);
  std::sscanf(stat.c_str() + close + 1, " %c %d", &result.state, &result.parent);
  return result;
}

std::map<int, std::string> find_processes() {
  std::map<int, std::string> found;
  const char* tag = std::getenv(tag_variable);
  // As it stands in /proc/<pid>/environ, with the terminator: so "12" is not found in "123".
  const std::string marked = std::string(tag_variable) + '=' + (tag ? tag : "") + '\0';
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos || pid == std::to_string(getpid())) continue;
    const auto line = parse_stat(contents(entry.path() / "stat"));
    const bool child = line.parent == getpid();
    if (child || (tag && contents(entry.path() / "environ").find(marked) != std::string::npos))
      found[std::stoi(pid)] =
          "process " + pid + " (" + line.name + "), state " + line.state + (child ? ", a child" : ", a descendant");
  }
  return found;
}

std::set<std::string> find_descriptors() {
  std::set<std::string> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd", error)) {
    const auto target = fs::read_symlink(entry.path(), error);
    if (error || target.native().starts_with("/proc/")) continue;  // the directory being read
    found.insert("descriptor " + entry.path().filename().native() + " -> " + target.native());
  }
  return found;
}

// Shared memory has no name that a file system shows, so what is mapped is asked for. /dev/zero is how the kernel
// calls anonymous shared memory.
std::set<std::string> find_mappings() {
  std::set<std::string> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const bool deleted = line.ends_with("(deleted)");
    if (deleted && (line.find("/memfd:lenskit") != std::string::npos || line.find("/dev/zero") != std::string::npos ||
                    line.find("/lenskit") != std::string::npos))
      found.insert("mapping " + line);
  }
  return found;
}

void find_files(const fs::path& directory, std::string_view prefix, std::set<std::string>& found) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error))
    if (entry.path().filename().native().starts_with(prefix)) found.insert("file " + entry.path().native());
}

std::set<std::string> find_files() {
  std::set<std::string> found;
  find_files("/dev/shm", "lenskit", found);
  find_files(fs::temp_directory_path(), "", found);  // main() made it for this process alone
  if (const char* chosen = std::getenv("LK_TEMP_DIR")) find_files(chosen, "lenskit", found);
  return found;
}

#if LENSKIT_TESTS_CATCH == 3
using listener_base = Catch::EventListenerBase;
const std::string& name_of(const Catch::TestCaseStats& stats) { return stats.testInfo->name; }
#else
using listener_base = Catch::TestEventListenerBase;
const std::string& name_of(const Catch::TestCaseStats& stats) { return stats.testInfo.name; }
#endif

class leak_listener : public listener_base {
 public:
  using listener_base::listener_base;

  void testCaseStarting(const Catch::TestCaseInfo&) override { before_ = surroundings::now(); }

  // What ends asynchronously gets a moment: the kernel needs one to take a killed process apart.
  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    const auto deadline = std::chrono::steady_clock::now() + 2s;
    auto left = leaked(before_, surroundings::now());
    while (!left.empty() && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(10ms);
      left = leaked(before_, surroundings::now());
    }
    if (left.empty()) return;
    ++leaking_cases;
    std::fprintf(stderr, "\nFAILED: the test case \"%s\" left something behind:\n", name_of(stats).c_str());
    for (const auto& line : left) std::fprintf(stderr, "  %s\n", line.c_str());
  }

 private:
  surroundings before_;
};

CATCH_REGISTER_LISTENER(leak_listener)

}  // namespace

surroundings surroundings::now() { return {find_processes(), find_descriptors(), find_mappings(), find_files()}; }

std::vector<std::string> leaked(const surroundings& before, const surroundings& after) {
  std::vector<std::string> result;
  for (const auto& [pid, description] : after.processes)
    if (!before.processes.contains(pid)) result.push_back(description);
  const auto add = [&](const auto& had, const auto& has) {
    std::set_difference(has.begin(), has.end(), had.begin(), had.end(), std::back_inserter(result));
  };
  add(before.descriptors, after.descriptors);
  add(before.mappings, after.mappings);
  add(before.files, after.files);
  return result;
}

int cases_that_leaked() noexcept { return leaking_cases; }

}  // namespace lenskit::tests
