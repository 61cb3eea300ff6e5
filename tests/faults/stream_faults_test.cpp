// D1 to D3: much on the way in both directions, too many wake-ups, and descriptors that others hold.
#include <lenskit/detail/os/poller.hpp>
#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/in_child.hpp>

#include <sys/socket.h>

#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <ranges>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

using lenskit::invoker;
using lenskit::tests::on;
using namespace std::chrono_literals;

namespace {

namespace fs = std::filesystem;

constexpr auto processes = lenskit::engine::processes;

// The descriptors of this process as what they are: "socket:[123]". Without files: another thread may be reading one
// when the fork comes, and it is of no consequence.
[[maybe_unused]] std::multiset<std::string> open_files() {
  std::multiset<std::string> found;
  std::error_code gone;
  for (const auto& each : fs::directory_iterator("/proc/self/fd")) {
    const auto target = fs::read_symlink(each.path(), gone).native();
    if (!gone && !target.starts_with("/")) found.insert(target);
  }
  return found;
}

[[maybe_unused]] void make_socket_buffers_small() {
  const int small = 1;  // the kernel makes it the least there is, about 4 KiB
  for (const auto& each : fs::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(each.path().filename());
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  }
}

}  // namespace

TEST_CASE("D2: a million wake-ups while nobody listens neither block nor add up") {
  const lenskit::detail::wakeup bell;
  lenskit::detail::poller listener;
  listener.watch(bell.fd(), 7);
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 2; ++caller) {
    callers.emplace_back([&] {
      for (int i = 0; i < 500'000; ++i) bell.raise();
    });
  }
  for (auto& each : callers) each.join();
  // Nor do they when the counter is as full as it gets.
  const std::uint64_t nearly_all = std::numeric_limits<std::uint64_t>::max() - 1 - 1'000'000;
  REQUIRE(write(bell.fd(), &nearly_all, sizeof nearly_all) == sizeof nearly_all);
  for (int i = 0; i < 3; ++i) bell.raise();
  std::array<lenskit::detail::readiness, 4> room;
  REQUIRE(listener.wait(room, lenskit::detail::steady::now()).size() == 1);
  bell.clear();
  CHECK(listener.wait(room, lenskit::detail::steady::now()).empty());
  bell.raise();
  CHECK(listener.wait(room, lenskit::detail::steady::now()).size() == 1);
}

#ifndef __SANITIZE_THREAD__
TEST_CASE("D1: arguments and results of any size cross in both directions at once", "[no_tsan]") {
  struct load {
    std::size_t bytes;
    int tasks;
  };
  const auto [bytes, tasks] = GENERATE(load{1, 3000}, load{4095, 1000}, load{65'536, 300},
                                       load{std::size_t{1} << 20, 24}, load{std::size_t{64} << 20, 3});
  const int n_jobs = GENERATE(1, 2, 8);
  if (n_jobs == 8 && bytes > (std::size_t{1} << 20)) return;  // seconds, and no more than two show
  INFO(bytes << " bytes, " << n_jobs << " workers");
  invoker inv(
      0,
      [](int, std::string text) {
        ++text.back();
        return text;
      },
      on(processes, n_jobs));
  const auto inputs = std::views::iota(0, tasks) | std::views::transform([size = bytes](int i) {
                        return std::string(size, static_cast<char>('a' + i % 20));
                      });
  int index = 0;
  for (const auto& result : inv.map(inputs)) {
    const auto letter = static_cast<char>('a' + index % 20);
    REQUIRE(result.size() == bytes);
    REQUIRE(result.back() == letter + 1);
    REQUIRE((bytes == 1 || (result.front() == letter && result[bytes / 2] == letter)));
    ++index;
  }
  CHECK(index == tasks);
}

TEST_CASE("D1: large values cross in both directions though the connections hold next to nothing", "[no_tsan]") {
  const int n_jobs = GENERATE(1, 3);
  constexpr std::size_t size = 300'000;
  invoker inv(
      0,
      [](int, const std::string& text) {
        static const bool once = (make_socket_buffers_small(), true);
        return once ? text + text : text;
      },
      on(processes, n_jobs));
  make_socket_buffers_small();
  const std::vector<std::string> inputs(30, std::string(size, 'q'));
  int count = 0;
  for (const auto& result : inv.map(inputs)) {
    REQUIRE(result == std::string(2 * size, 'q'));
    ++count;
  }
  CHECK(count == 30);
}

TEST_CASE("D1: a large result among small ones is received without a pause", "[no_tsan]") {
  constexpr int large = 900;
  invoker inv(
      0,
      [](int, int x) {
        static const bool once = (make_socket_buffers_small(), true);
        const auto until = std::chrono::steady_clock::now() + 30us;
        while (std::chrono::steady_clock::now() < until) {}
        return std::string(once && x == large ? std::size_t{16} << 20 : 1, 'r');
      },
      on(processes, 1));
  make_socket_buffers_small();
  const auto start = std::chrono::steady_clock::now();
  int index = 0;
  for (const auto& result : inv.map(std::views::iota(0, 2 * large))) {
    REQUIRE(result.size() == (index == large ? std::size_t{16} << 20 : 1));
    ++index;
  }
  CHECK(index == 2 * large);
  CHECK(std::chrono::steady_clock::now() - start < 2s);
}

TEST_CASE("D3: no worker holds a descriptor of another, nor of a pool beside its own", "[no_tsan]") {
  const auto before = open_files();
  std::mutex mutex;
  std::map<pid_t, std::multiset<std::string>> of_worker;
  std::atomic<int> ready{0};
  std::vector<std::thread> makers;
  for (int maker = 0; maker < 4; ++maker) {
    makers.emplace_back([&] {
      ++ready;
      while (ready < 4) std::this_thread::yield();
      for (int round = 0; round < 5; ++round) {
        invoker inv(
            0,
            [](int, int) {
              std::this_thread::sleep_for(1ms);
              const auto files = open_files();
              return std::pair(getpid(), std::vector<std::string>(files.begin(), files.end()));
            },
            on(processes, 3));
        for (const auto& [pid, files] : inv.map(std::vector<int>(12))) {
          const std::lock_guard held(mutex);
          of_worker[pid] = {files.begin(), files.end()};
        }
      }
    });
  }
  for (auto& each : makers) each.join();
  REQUIRE(of_worker.size() >= 20);
  std::map<std::string, int> holders;
  for (const auto& [pid, files] : of_worker) {
    int own = 0;
    for (const auto& file : files) {
      if (before.contains(file)) continue;
      INFO("worker " << pid << " holds " << file);
      CHECK((file.starts_with("socket:") || file.starts_with("pipe:")));  // no handle of a process, no bell
      ++own;
      ++holders[file];
    }
    CHECK(own == 2);  // its stream and its log
  }
  for (const auto& [file, count] : holders) {
    INFO(file);
    CHECK(count == 1);
  }
}

TEST_CASE("D3: a process that the host forks while other threads make and end pools can end its copies", "[no_tsan]") {
  const auto same = [](int, int x) { return x; };
  auto inherited = std::make_unique<invoker<int, decltype(same)>>(0, same, on(processes));
  std::atomic<bool> enough{false};
  std::thread maker([&] {
    while (!enough) std::ignore = invoker(0, same, on(processes, 1)).map(std::vector{1}).collect();
  });
  for (int time = 0; time < 200; ++time) {
    REQUIRE(lenskit::tests::holds_in_child([&] {
      inherited.reset();
      return true;
    }));
  }
  enough = true;
  maker.join();
  CHECK(inherited->map(std::vector{4}).collect() == std::vector{4});
}
#endif
