// The failure L2: workers that log more than anybody reads.
#include <lenskit/invoker.hpp>

#include <support/reporting_child.hpp>
#include <support/shared_counters.hpp>

#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

using namespace lenskit;
using namespace lenskit::detail;
using namespace lenskit::tests;

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Bounded, so that a pool that goes wrong makes its test fail and not hang.
template <class Ready>
void sleep_until(Ready ready) {
  const auto start = std::chrono::steady_clock::now();
  while (!ready() && seconds_since(start) < 20) std::this_thread::sleep_for(std::chrono::microseconds(100));
}

// Lets the thread that reads logs learn at once that one worker has logged and that another's log has ended; and holds
// it, before it looks at the second, until the dead worker has a successor.
class late_reader final : public sys::interceptor {
 public:
  enum step { logged, victim };  // what the workers tell

  explicit late_reader(const shared_counters& steps) : steps_(steps) { sys::intercept(this); }
  ~late_reader() override { sys::intercept(nullptr); }
  late_reader(const late_reader&) = delete;
  late_reader& operator=(const late_reader&) = delete;

  int fail(sys::call which) noexcept override {
    if (sys::getpid() != parent_) return 0;
    if (std::this_thread::get_id() == consumer_) {
      if (which == sys::call::epoll_wait && follows_) sleep_until([&] { return reads_.load(); });
    } else if (which == sys::call::epoll_wait && !released_) {
      sleep_until([&] { return released_ || (steps_[logged] > 0 && ended(steps_[victim])); });
    } else if (which == sys::call::epoll_wait) {
      ++rounds_;
    } else if (which == sys::call::read && !released_) {
      reads_ = true;
      sleep_until([&] { return released_.load(); });
    }
    return 0;
  }

  /// From now on this thread looks after the workers only once the other has begun to read.
  void follow() { follows_ = true; }
  /// Returns when the other thread has looked at everything it knew of.
  void release() {
    released_ = true;
    sleep_until([&] { return rounds_ > 0; });
  }

 private:
  static bool ended(pid_t worker) { return worker > 0 && ::kill(worker, 0) != 0; }

  const shared_counters& steps_;
  const pid_t parent_ = sys::getpid();
  const std::thread::id consumer_ = std::this_thread::get_id();
  bool follows_ = false;
  std::atomic<bool> reads_{false}, released_{false};
  std::atomic<int> rounds_{0};
};

}  // namespace

TEST_CASE("L2: a storm that nobody reads costs the worker a second, is counted, and goes on when there is room") {
  fresh_loggers loggers;
  int ends[2];
  REQUIRE(sys::pipe(ends, 0) == 0);
  const descriptor told(ends[0]);
  const descriptor tell(ends[1]);
  constexpr std::uint64_t storm = 200'000;
  reporting_child child([&] {
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t i = 0; i < storm; ++i) spdlog::info("drop {}", i);
    const double took = seconds_since(start);
    if (::write(tell.get(), &took, sizeof took) != sizeof took) ::_exit(1);
    ::pause();
  });
  double took = 0;  // nobody has read a report until here
  REQUIRE(::read(told.get(), &took, sizeof took) == sizeof took);
  CHECK(took > 0.9);
  CHECK(took < 10);
  REQUIRE(hear(child.reader()));
  const auto arrived = loggers.sink->texts().size();
  CHECK(arrived > 500);
  CHECK(arrived < storm);
  CHECK(loggers.sink->texts()[arrived - 1] == fmt::format("drop {}", arrived - 1));
}

TEST_CASE("L2: the next record that gets through is preceded by the number of those that did not") {
  fresh_loggers loggers;
  int ends[2];
  REQUIRE(sys::pipe(ends, 0) == 0);
  const descriptor told(ends[0]);
  const descriptor tell(ends[1]);
  constexpr std::uint64_t storm = 50'000;
  reporting_child child([&] {
    for (std::uint64_t i = 0; i < storm; ++i) spdlog::info("drop {}", i);
    const char byte = 0;
    if (::write(tell.get(), &byte, 1) != 1) ::_exit(1);
    spdlog::warn("important");  // waits for room, however long the others did
  });
  char byte;
  REQUIRE(::read(told.get(), &byte, 1) == 1);
  ::usleep(300'000);
  REQUIRE(child.drain_to_death() == 0);
  const auto texts = loggers.sink->texts();
  REQUIRE(texts.size() >= 2);
  CHECK(texts.back() == "important");
  std::uint64_t dropped = 0;
  std::uint64_t arrived = 0;
  for (const auto& text : texts) {
    if (const auto at = text.find(" dropped: worker"); at != std::string::npos) dropped += std::stoull(text);
    if (text.rfind("drop ", 0) == 0) ++arrived;
  }
  CHECK(dropped > 0);
  CHECK(arrived + dropped == storm);
  CHECK(child.reader().delivered() == storm + 1);
}

TEST_CASE("L2: a slow sink makes the worker wait and loses nothing") {
  fresh_loggers loggers;
  struct slow_sink final : spdlog::sinks::base_sink<std::mutex> {
    int count = 0;
    void sink_it_(const spdlog::details::log_msg&) override {
      if (++count % 100 == 0) ::usleep(1000);
    }
    void flush_() override {}
  };
  auto slow = std::make_shared<slow_sink>();
  spdlog::default_logger()->sinks() = {slow};
  reporting_child child([] {
    for (int i = 0; i < 20'000; ++i) spdlog::info("record {}", i);
  });
  REQUIRE(child.drain_to_death() == 0);
  CHECK(slow->count == 20'000);
}

TEST_CASE("L2: what a worker logs is read although the log of the worker before it ended a moment ago", "[no_tsan]") {
  fresh_loggers loggers;
  enum task { die, log_and_stay, nothing, log_much };
  enum { done = late_reader::victim + 1, count };
  constexpr std::size_t much = 600'000;  // more than a pipe holds
  const shared_counters steps(count);
  late_reader hook(steps);
  invoker inv(0,
              [&](int, task what) {
                switch (what) {
                  case die:
                    sleep_until([&] { return steps[late_reader::logged] > 0; });
                    steps[late_reader::victim] = sys::getpid();
                    ::raise(SIGKILL);
                    break;
                  case log_and_stay:
                    spdlog::info("here");
                    ++steps[late_reader::logged];
                    sleep_until([&] { return steps[done] > 0; });
                    break;
                  case nothing: break;
                  case log_much: spdlog::info(std::string(much, 'x')); break;
                }
                return 0;
              },
              {.n_jobs = 2, .engine = engine::processes, .chunk_size = 1});
  CHECK(inv.map(std::vector{nothing, nothing}).collect().size() == 2);  // both workers are known
  hook.follow();
  auto range = inv.map_outcomes(std::vector{die, log_and_stay});
  auto outcome = range.begin();
  CHECK_FALSE(outcome->has_value());
  CHECK(inv.map(std::vector{nothing}).collect().size() == 1);  // by the successor
  hook.release();
  const auto start = std::chrono::steady_clock::now();
  CHECK(inv.map(std::vector{log_much}).collect().size() == 1);
  CHECK(seconds_since(start) < 5);
  steps[done] = 1;
  CHECK((++outcome)->has_value());
  const auto texts = loggers.sink->texts();
  REQUIRE_FALSE(texts.empty());
  CHECK(texts.back().size() == much);
}
