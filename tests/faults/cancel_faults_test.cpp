// D14: pthread_cancel of a thread of the program that is inside the library.
#include <lenskit/invoker.hpp>
#include <lenskit/persist.hpp>
#include <lenskit/run_sp.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/in_child.hpp>

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <ranges>
#include <thread>
#include <tuple>
#include <vector>

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)

using lenskit::invoker;
using lenskit::tests::holds_in_child;
using lenskit::tests::on;
using namespace std::chrono_literals;

namespace {

int slow(int, int x) {
  std::this_thread::sleep_for(10ms);
  return x;
}

// Whether a thread that runs `work` again and again ends when it is cancelled, wherever it is.
bool ends_when_cancelled(std::chrono::microseconds after, const std::function<void()>& work) {
  std::atomic<bool> given_up = false;
  std::thread worker([&] {
    while (!given_up) {
      work();
      pthread_testcancel();
    }
  });
  std::this_thread::sleep_for(after);
  pthread_cancel(worker.native_handle());
  worker.join();
  return !given_up;
}

bool works(invoker<int, int (*)(int, int)>& inv) { return inv.map(std::vector{1, 2}).collect() == std::vector{1, 2}; }

}  // namespace

TEST_CASE("D14: a thread that is cancelled while it waits for results ends, and the pool works on",
          "[no_tsan][no_asan]") {
  ON_EVERY_ENGINE(engine);
  const auto after = GENERATE(1ms, 35ms, 100ms);
  CHECK(holds_in_child([&] {
    invoker inv(0, &slow, on(engine));
    for (int round = 0; round < 3; ++round) {
      const bool ended = ends_when_cancelled(after, [&] {
        for (const int x : inv.map(std::views::iota(0, 40))) std::ignore = x;
      });
      if (!ended || !works(inv)) return false;
    }
    return true;
  }));
}

TEST_CASE("D14: one of two threads that share a pool is cancelled, and the other gets all of its results",
          "[no_tsan][no_asan]") {
  ON_ENGINES_WITH_WORKERS(engine);
  CHECK(holds_in_child([&] {
    invoker inv(0, &slow, on(engine));
    std::atomic<bool> right = false;
    std::thread other([&] { right = inv.map(std::views::iota(0, 40)).collect().size() == 40; });
    const bool ended = ends_when_cancelled(60ms, [&] {
      for (const int x : inv.map(std::views::iota(0, 1000))) std::ignore = x;
    });
    other.join();
    return ended && right && works(inv);
  }));
}

TEST_CASE("D14: a thread is cancelled while it makes and ends pools, stores models or runs subprocesses",
          "[no_tsan][no_asan]") {
  CHECK(holds_in_child([&] {
    const std::vector<int> model(1 << 20, 1);
    for (int delay = 100; delay < 6000; delay += 700) {
      const auto after = std::chrono::microseconds(delay);
      const bool ended = ends_when_cancelled(after,
                                             [] {
                                               invoker inv(0, &slow, on(lenskit::engine::processes));
                                               std::ignore = inv.map(std::views::iota(0, 2)).collect();
                                             }) &&
                         ends_when_cancelled(after, [&] { std::ignore = lenskit::persist(model); }) &&
                         ends_when_cancelled(after, [] { std::ignore = lenskit::run_sp([] { return 1; }); });
      if (!ended) return false;
    }
    return true;
  }));
}

#endif
