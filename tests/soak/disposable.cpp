#include "disposable.hpp"

#include <sys/mman.h>
#include <sys/wait.h>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <new>
#include <sstream>
#include <system_error>
#include <thread>

namespace lenskit::soak {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr auto grace = 1s;  // for what ends asynchronously after its parent
constexpr int threw_code = 86;

std::string contents(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// What a hang looked like, while it can still be seen.
void describe_hang(pid_t session, std::vector<std::string>& lines) {
  for (const auto& [pid, description] : processes_of_session(session)) {
    const fs::path proc = fs::path("/proc") / std::to_string(pid);
    lines.push_back("  hung with " + description + ", waits in " + contents(proc / "wchan"));
    const std::string command = "command -v gdb >/dev/null && timeout 20 gdb -p " + std::to_string(pid) +
                                " -batch -ex 'thread apply all bt 12' 2>/dev/null | grep -E '^(#|Thread)'";
    if (FILE* debugger = ::popen(command.c_str(), "r")) {
      char line[512];
      while (std::fgets(line, sizeof line, debugger))
        lines.push_back("    " + std::string(line, std::strcspn(line, "\n")));
      ::pclose(debugger);
    }
  }
}

}  // namespace

void notes::complain(const std::string& line) noexcept {
  const auto at = length.fetch_add(line.size() + 1);
  if (at + line.size() + 1 > room) return;
  std::memcpy(text + at, line.data(), line.size());
  text[at + line.size()] = '\n';
}

void notes::took(std::chrono::nanoseconds time) noexcept {
  const auto at = times.fetch_add(1);
  if (at < std::size(times_ns)) times_ns[at] = time.count();
}

std::vector<std::pair<pid_t, std::string>> processes_of_session(pid_t session) {
  std::vector<std::pair<pid_t, std::string>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto stat = contents(entry.path() / "stat");
    const auto close = stat.rfind(')');
    if (close == std::string::npos) continue;
    char state = '?';
    pid_t parent = 0, group = 0, its_session = 0;
    std::sscanf(stat.c_str() + close + 1, " %c %d %d %d", &state, &parent, &group, &its_session);
    constexpr pid_t init = 1;  // reaps what an ended process left to it, in its own time
    if (its_session == session && !(state == 'Z' && parent == init))
      found.emplace_back(std::stoi(name), stat.substr(0, close + 1) + ' ' + state);
  }
  return found;
}

struct disposable_processes::running {
  std::string label;
  int expected_signal = 0;
  pid_t pid = -1;
  notes* shared = nullptr;
  steady::time_point begun = steady::now();
  ending end{};
  bool ended = false;
  steady::time_point ended_at{};

  ~running() {
    if (shared) ::munmap(shared, sizeof *shared);
  }
};

disposable_processes::disposable_processes(int at_once, std::chrono::milliseconds limit,
                                           std::function<void(ending)> on_end)
    : at_once_(static_cast<std::size_t>(at_once)), limit_(limit), on_end_(std::move(on_end)) {}

disposable_processes::~disposable_processes() {
  for (const auto& one : running_) {
    for (const auto& [pid, name] : processes_of_session(one->pid)) ::kill(pid, SIGKILL);
    if (!one->ended) ::waitpid(one->pid, nullptr, 0);
  }
}

void disposable_processes::start(std::string label, body what, int expected_signal) {
  while (running_.size() >= at_once_) poll_once();
  auto one = std::make_unique<running>();
  one->label = std::move(label);
  one->expected_signal = expected_signal;
  void* room = ::mmap(nullptr, sizeof(notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) throw std::bad_alloc();
  one->shared = new (room) notes;
  std::fflush(nullptr);
  one->pid = ::fork();
  if (one->pid < 0) throw std::system_error(errno, std::generic_category(), "cannot fork a disposable process");
  if (one->pid == 0) {
    ::setsid();
    // Signals end this process, also where nohup or a shell that runs the soak in the background ignores them.
    for (const int each : {SIGHUP, SIGINT, SIGQUIT, SIGTERM}) ::signal(each, SIG_DFL);
    int code = 0;
    try {
      what(*one->shared);
    } catch (const std::exception& error) {
      one->shared->complain(std::string("threw ") + error.what());
      code = threw_code;
    }
    ::_exit(code);
  }
  running_.push_back(std::move(one));
}

void disposable_processes::finish() {
  while (!running_.empty()) poll_once();
}

void disposable_processes::poll_once() {
  const auto settled = std::remove_if(running_.begin(), running_.end(), [this](auto& one) { return settle(*one); });
  if (settled == running_.end()) std::this_thread::sleep_for(1ms);
  running_.erase(settled, running_.end());
}

// Whether it is over and reported.
bool disposable_processes::settle(running& one) {
  auto& end = one.end;
  if (!one.ended) {
    int status = 0;
    if (::waitpid(one.pid, &status, WNOHANG) != one.pid) {
      if (steady::now() - one.begun < limit_) return false;
      end.hung = true;
      describe_hang(one.pid, end.complaints);
      end.complaints.insert(end.complaints.begin(), "hung: not over after " + std::to_string(limit_.count()) + " ms");
      ::kill(one.pid, SIGKILL);
      ::waitpid(one.pid, &status, 0);
    }
    one.ended = true;
    one.ended_at = steady::now();
    end.label = one.label;
    end.took = one.ended_at - one.begun;
    if (WIFEXITED(status)) end.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
    if (end.signal != one.expected_signal && !end.hung)
      end.complaints.push_back("ended by signal " + std::to_string(end.signal) + ", expected " +
                               std::to_string(one.expected_signal));
  }
  const auto left = processes_of_session(one.pid);
  if (!left.empty() && steady::now() - one.ended_at < grace) return false;
  for (const auto& [pid, description] : left) {
    end.complaints.push_back("left behind: " + description);
    ::kill(pid, SIGKILL);
  }
  const std::string_view text(one.shared->text, std::min(one.shared->length.load(), notes::room));
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) end.complaints.push_back(line);
  for (const auto& each : one.shared->counters) end.counters.push_back(each);
  const auto times = std::min(one.shared->times.load(), std::size(one.shared->times_ns));
  for (std::size_t i = 0; i < times; ++i) end.times_ns.push_back(one.shared->times_ns[i]);
  on_end_(std::move(end));
  return true;
}

}  // namespace lenskit::soak
