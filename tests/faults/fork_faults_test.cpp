// F1, F5 and F10: the fork of a pool beside threads, beside the user's own forks, and when it fails.
#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/os/fork_handlers.hpp>
#include <lenskit/invoker.hpp>
#include <support/call_faults.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/in_child.hpp>
#include <support/message_of.hpp>
#include <support/reporting_child.hpp>
#include <support/shared_counters.hpp>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <dlfcn.h>
#include <grp.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <functional>
#include <memory>
#include <ranges>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

using lenskit::invoker;
using lenskit::detail::sys::call;
using lenskit::tests::call_faults;
using lenskit::tests::holds_in_child;
using lenskit::tests::on;
using lenskit::tests::shared_counters;
using namespace std::chrono_literals;

#ifndef __SANITIZE_THREAD__
namespace {

namespace fs = std::filesystem;

constexpr auto processes = lenskit::engine::processes;

// Threads that do one thing again and again for as long as this lives.
class hammering {
 public:
  explicit hammering(const std::vector<std::function<void()>>& blows) {
    for (const auto& blow : blows) {
      threads_.emplace_back([this, blow] {
        while (!enough_) blow();
      });
    }
  }
  ~hammering() {
    enough_ = true;
    for (auto& each : threads_) each.join();
  }
  hammering(const hammering&) = delete;
  hammering& operator=(const hammering&) = delete;

 private:
  std::atomic<bool> enough_{false};
  std::vector<std::thread> threads_;
};

// The files that this process may open, while this lives.
class few_files {
 public:
  explicit few_files(rlim_t limit) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit few{limit, before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &few);
  }
  ~few_files() { setrlimit(RLIMIT_NOFILE, &before_); }
  few_files(const few_files&) = delete;
  few_files& operator=(const few_files&) = delete;

 private:
  rlimit before_{};
};

bool a_pool_works(int n_jobs = 2) {
  invoker inv(
      3, [](int m, int x) { return m * x; }, on(processes, n_jobs));
  return inv.map(std::vector{1, 2, 3, 4}).collect() == std::vector{3, 6, 9, 12};
}

// What the descriptors of a process are, the standard ones left out; empty when it is gone.
std::set<std::string> open_files(pid_t pid) {
  std::set<std::string> found;
  std::error_code error;
  for (const auto& each : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd", error)) {
    if (std::stoi(each.path().filename()) > STDERR_FILENO) found.insert(fs::read_symlink(each.path(), error));
  }
  return found;
}

}  // namespace

// Not with the address sanitizer: what allocates there does not survive a fork beside threads that allocate.
TEST_CASE("F1: pools start while other threads hold the locks of the C library and of spdlog", "[no_tsan][no_asan]") {
  constexpr int starts = 200;
  constexpr auto deadline = 12s;  // of one start, which may need new tries
  const lenskit::tests::fresh_loggers loggers;
  const hammering threads({
      [] {
        const std::time_t now = std::time(nullptr);
        std::tm local{};
        localtime_r(&now, &local);
      },
      [] { setenv("LENSKIT_TESTS_HAMMERED", "x", 1); },
      [] { std::free(std::malloc(std::size_t{1} << 12)); },
      [] { spdlog::debug("a record of the parent"); },
      [] {
        if (void* const library = dlopen("libm.so.6", RTLD_NOW)) dlclose(library);
      },
  });
  auto slowest = std::chrono::steady_clock::duration::zero();
  for (int start = 0; start < starts; ++start) {
    const auto before = std::chrono::steady_clock::now();
    REQUIRE(a_pool_works());
    slowest = std::max(slowest, std::chrono::steady_clock::now() - before);
  }
  CHECK(slowest < deadline);
  unsetenv("LENSKIT_TESTS_HAMMERED");
}

// Nor this one: of the forks, some do not come up there.
TEST_CASE("F5: programs that the user starts meanwhile inherit nothing of a pool, and hold up nothing",
          "[no_tsan][no_asan]") {
  const auto own = open_files(getpid());
  std::vector<pid_t> started;
  {
    std::atomic<bool> enough{false};
    std::thread starter([&] {
      while (!enough && started.size() < 300) {
        const pid_t child = fork();
        if (child == 0) {
          execlp("sleep", "sleep", "300", nullptr);
          _exit(127);
        }
        if (child > 0) started.push_back(child);
      }
    });
    const auto before = std::chrono::steady_clock::now();
    for (int pool = 0; pool < 40; ++pool) CHECK(a_pool_works());
    CHECK(std::chrono::steady_clock::now() - before < 20s);
    enough = true;
    starter.join();
  }
  REQUIRE_FALSE(started.empty());
  std::size_t inheriting = 0;
  const auto program_of = [](pid_t pid) { return fs::read_symlink("/proc/" + std::to_string(pid) + "/exe"); };
  for (const pid_t child : started) {
    while (program_of(child) == program_of(getpid())) std::this_thread::sleep_for(1ms);  // it has yet to become another
    for (const auto& file : open_files(child)) {
      if (!own.contains(file)) ++inheriting;
    }
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  CHECK(inheriting == 0);
}

TEST_CASE("F10: without a spawner or a first worker the constructor throws and leaves nothing", "[no_tsan]") {
  constexpr int n_jobs = 3;
  const int error = GENERATE(EAGAIN, ENOMEM);
  const int before = lenskit::detail::descriptors_owned();
  for (int which = 1; which <= 2; ++which) {
    INFO("fork " << which);
    shared_counters forks(1);
    const call_faults faults([&](call each) { return each == call::fork && ++forks[0] >= which ? error : 0; });
    try {
      a_pool_works(n_jobs);
      CHECK(false);
    } catch (const std::system_error& failure) {
      CHECK(failure.code().value() == error);
      CHECK(
          lenskit::tests::mentions(failure.what(), {which == 1 ? "cannot fork the spawner" : "cannot create worker"}));
    }
    CHECK(lenskit::detail::descriptors_owned() == before);
  }
  CHECK(a_pool_works(n_jobs));
}

TEST_CASE("F10: a pool whose later workers cannot be forked works with those it has and says so", "[no_tsan]") {
  constexpr int n_jobs = 3;
  const int error = GENERATE(EAGAIN, ENOMEM);
  const bool for_ever = GENERATE(false, true);
  CAPTURE(error, for_ever);
  const int before = lenskit::detail::descriptors_owned();
  const lenskit::tests::fresh_loggers loggers;
  shared_counters forks(1);
  {
    const call_faults faults([&](call each) {
      if (each != call::fork) return 0;
      const auto which = ++forks[0];
      return which == 3 || (for_ever && which > 3) ? error : 0;
    });
    lenskit::invoker inv(0, [](int, int) { return ::getpid(); },
                         {.n_jobs = n_jobs, .engine = processes, .chunk_size = 1});
    std::set<pid_t> pids;
    const auto start = std::chrono::steady_clock::now();
    const std::size_t expected = for_ever ? 1 : n_jobs;
    while (pids.size() < expected && std::chrono::steady_clock::now() - start < 20s) {
      for (const pid_t pid : inv.map(std::views::iota(0, 1000))) pids.insert(pid);
    }
    CHECK(pids.size() == expected);
  }
  CHECK(lenskit::detail::descriptors_owned() == before);
  const auto texts = loggers.sink->texts();
  REQUIRE_FALSE(texts.empty());
  CHECK(lenskit::tests::mentions(texts.front(), {"a worker cannot be started", std::strerror(error)}));
}

// The sanitizer for undefined behaviour needs descriptors of its own to look at objects.
TEST_CASE("F10: a process that may open few files gets a whole pool or an error", "[no_tsan][no_asan]") {
  int refused = 0;
  rlim_t limit = 1;
  for (bool works = false; !works && limit < 200; ++limit) {
    shared_counters worked(1);
    REQUIRE(holds_in_child([&] {
      const int before = lenskit::detail::descriptors_owned();
      try {
        const few_files few(limit);
        worked[0] = a_pool_works(3) ? 1 : -1;
      } catch (const std::system_error& error) {
        return error.code().value() == EMFILE && lenskit::detail::descriptors_owned() == before;
      } catch (const lenskit::persist_error&) {  // the very first descriptor is the model's
        return lenskit::detail::descriptors_owned() == before;
      }
      return worked[0] == 1 && lenskit::detail::descriptors_owned() == before;
    }));
    works = worked[0] == 1;
    refused += !works;
  }
  CHECK(refused > 5);
  CHECK(limit < 200);
}

TEST_CASE("F10: a user who may have few processes gets a pool or an error", "[no_tsan][serial]") {
  if (geteuid() != 0) LENSKIT_SKIP("only root can become a user without processes");
  constexpr uid_t nobodys = 64'123;
  int refused = 0;
  rlim_t limit = 1;
  for (bool works = false; !works && limit < 50; ++limit) {
    shared_counters worked(1);
    REQUIRE(holds_in_child([&] {
      prctl(PR_SET_CHILD_SUBREAPER, 1);  // or zombies that others bury late count for that user
      if (setgroups(0, nullptr) != 0 || setresgid(nobodys, nobodys, nobodys) != 0) return false;
      const rlimit few{limit, limit};
      setrlimit(RLIMIT_NPROC, &few);
      if (setresuid(nobodys, nobodys, nobodys) != 0) return false;
      try {
        worked[0] = a_pool_works(3) ? 1 : -1;
      } catch (const std::system_error& error) {
        return error.code().value() == EAGAIN;
      }
      return worked[0] == 1;
    }));
    works = worked[0] == 1;
    refused += !works;
  }
  CHECK(refused >= 2);  // the program, the spawner and a first worker need one each
  CHECK(limit < 50);
}

TEST_CASE("B5: a fork handler of another library that waits is named within a second", "[no_tsan]") {
  CHECK(holds_in_child([] {
    int ends[2] = {-1, -1};
    if (pipe(ends) != 0 || dup2(ends[1], STDERR_FILENO) < 0) return false;
    void* const library = dlopen(LENSKIT_TESTS_PROGRAMS "/libfork_handler.so", RTLD_NOW);
    if (library == nullptr || !lenskit::detail::others_handle_forks()) return false;
    const auto stop = reinterpret_cast<void (*)()>(dlsym(library, "stop_computing"));
    reinterpret_cast<void (*)()>(dlsym(library, "compute_for_a_while"))();
    const auto begun = std::chrono::steady_clock::now();
    std::string said;
    std::thread reader([&] {
      std::array<char, 4096> text{};
      const auto got = read(ends[0], text.data(), text.size());
      if (got > 0 && std::chrono::steady_clock::now() - begun < 1s) said.assign(text.data(), std::size_t(got));
      stop();
    });
    const bool works = a_pool_works(2);
    stop();
    close(ends[1]);
    close(STDERR_FILENO);  // the reader is not to wait where nothing is said
    reader.join();
    return works && said.find("(pthread_atfork) of libfork_handler.so") != std::string::npos;
  }));
}

#endif
