#include <lenskit/error.hpp>
#include <lenskit/invoker.hpp>
#include <lenskit/progress.hpp>
#include <lenskit/random.hpp>
#include <lenskit/run_sp.hpp>
#include <lenskit/worker.hpp>
#include <support/catch.hpp>
#include <support/message_of.hpp>
#include <support/reporting_child.hpp>

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <variant>
#include <vector>

using lenskit::run_sp;
using lenskit::run_sp_options;
using lenskit::tests::message_of;
using namespace std::chrono_literals;

namespace {

int add(int a, int b) { return a + b; }

struct point {
  int x = 0;
  [[nodiscard]] int moved(int by) const { return x + by; }
};

struct unstorable {
  int x = 1;
  template <class Archive>
  void serialize(Archive&, unsigned) {
    throw std::runtime_error("not this");
  }
};

double seconds_of(auto run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

TEST_CASE("run_sp runs anything callable and returns its value", "[no_tsan]") {
  CHECK(run_sp(add, 2, 3) == 5);
  CHECK(run_sp(&add, 2, 3) == 5);
  CHECK(run_sp(&point::moved, point{4}, 3) == 7);
  CHECK(run_sp([](std::string text) { return text + "!"; }, "text") == "text!");
  STATIC_REQUIRE(std::same_as<decltype(run_sp([] {})), std::monostate>);
  run_sp([] {});
  CHECK(run_sp([] { return getpid(); }) != getpid());
  int calls = 0;
  CHECK(run_sp([&calls]() mutable { return ++calls; }) == 1);
  CHECK(calls == 0);
}

TEST_CASE("run_sp takes and returns what can only be moved", "[no_tsan]") {
  auto input = std::make_unique<int>(5);
  const auto doubled = run_sp([](std::unique_ptr<int> x) { return std::make_unique<int>(2 * *x); }, std::move(input));
  CHECK(*doubled == 10);
}

TEST_CASE("run_sp needs no codec for its arguments", "[no_tsan]") {
  struct odd {
    std::thread::id thread;
    std::string* pointer;
  };
  std::string text = "seen";
  const odd argument{std::this_thread::get_id(), &text};
  CHECK(run_sp([](const odd& x) { return *x.pointer; }, argument) == "seen");
}

TEST_CASE("run_sp brings back large values", "[no_tsan]") {
  const std::vector<double> big(2'000'000, 1.5);
  CHECK(run_sp([&] { return big; }) == big);
}

TEST_CASE("an exception of the subprocess keeps its type and tells where it came from", "[no_tsan]") {
  try {
    run_sp([]() -> int { throw std::out_of_range("too far"); });
    CHECK(false);
  } catch (const std::out_of_range& error) {
    CHECK(std::string(error.what()) == "too far");
    const auto& where = dynamic_cast<const lenskit::task_error&>(error);
    CHECK(where.index() == 0);
    CHECK(where.worker_pid() != getpid());
    CHECK(where.type_name() == "std::out_of_range");
  }
}

TEST_CASE("a value that cannot be stored is a serialization error", "[no_tsan]") {
  CHECK_THROWS_AS(run_sp([] { return unstorable(); }), lenskit::serialization_error);
}

TEST_CASE("run_sp returns when a grandchild would outlive the subprocess, and ends it", "[no_tsan]") {
  CHECK(seconds_of([] {
          run_sp([] {
            if (fork() == 0) {
              std::this_thread::sleep_for(60s);
              _exit(0);
            }
          });
        }) < 2.5);
}

TEST_CASE("a stop token ends run_sp", "[no_tsan]") {
  std::stop_source stop;
  std::thread stopper([&] {
    std::this_thread::sleep_for(50ms);
    stop.request_stop();
  });
  const run_sp_options stoppable{.stop_token = stop.get_token()};
  CHECK(seconds_of([&] {
          CHECK_THROWS_AS(run_sp(stoppable, [] { std::this_thread::sleep_for(60s); }), lenskit::task_cancelled);
        }) < 3);
  stopper.join();
  CHECK_THROWS_AS(run_sp(stoppable, [] {}), lenskit::task_cancelled);
}

TEST_CASE("run_sp refuses a timeout that is not positive and names it", "[no_tsan]") {
  const auto run = [] { run_sp(run_sp_options{.timeout = -5ns}, [] {}); };
  CHECK_THROWS_AS(run(), std::invalid_argument);
  CHECK(lenskit::tests::mentions(message_of(run), {"timeout", "-5"}));
}

TEST_CASE("logs and progress of the subprocess reach the parent", "[no_tsan]") {
  const lenskit::tests::fresh_loggers loggers;
  const auto bar = lenskit::item_progress("epochs", 10);
  const pid_t child = run_sp([&] {
    for (int i = 0; i < 10; ++i) {
      spdlog::info("epoch {}", i);
      bar->update();
    }
    return getpid();
  });
  const auto records = loggers.sink->records();
  std::vector<std::string> texts;
  for (const auto& record : records) {
    if (record.origin == child) texts.push_back(record.text);
  }
  REQUIRE(texts.size() == 10);
  CHECK(texts.front() == "epoch 0");
  CHECK(texts.back() == "epoch 9");
  CHECK(bar->count() == 10);
}

TEST_CASE("the subprocess has a root seed of its own, reproducibly", "[no_tsan]") {
  const auto draw = [] { return lenskit::derive_seed().generate_state(2); };
  lenskit::init_rng(5);
  const auto first = run_sp(draw);
  const auto second = run_sp(draw);
  lenskit::init_rng(5);
  CHECK(run_sp(draw) == first);
  CHECK(run_sp(draw) == second);
  CHECK(first != second);
  CHECK_THROWS_AS(run_sp([] { return lenskit::task_seed().spawn_key(); }), std::logic_error);
}

TEST_CASE("threads may run subprocesses at the same time", "[no_tsan]") {
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&right, thread] {
      for (int i = 0; i < 3; ++i) right += run_sp(add, thread, i) == thread + i;
    });
  }
  for (auto& each : threads) each.join();
  CHECK(right == 12);
}
