#include <lenskit/detail/dispatch/vigil.hpp>
#include <lenskit/detail/os/crew.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/invoker.hpp>

#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/one_processor.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>
#include <vector>

using lenskit::invoker;
using lenskit::detail::vigil;
using lenskit::tests::on;
using lenskit::tests::one_processor;

namespace {

using namespace std::chrono_literals;

// Counts how often the thread that made it looks whether something is ready.
class look_counter final : public lenskit::detail::sys::interceptor {
 public:
  look_counter() { lenskit::detail::sys::intercept(this); }
  ~look_counter() override { lenskit::detail::sys::intercept(nullptr); }
  look_counter(const look_counter&) = delete;
  look_counter& operator=(const look_counter&) = delete;
  int fail(lenskit::detail::sys::call which) noexcept override {
    looks_ += which == lenskit::detail::sys::call::epoll_wait && std::this_thread::get_id() == caller_;
    return 0;
  }
  int take() noexcept { return looks_.exchange(0); }

 private:
  const std::thread::id caller_ = std::this_thread::get_id();
  std::atomic<int> looks_{0};
};

// Asks for one task after the other.
void ask(auto& pool, int times) {
  for (int i = 0; i < times; ++i) {
    const std::array one{i};
    REQUIRE(*pool.map(one).begin() == i);
  }
}

auto on_processor(int nth) {
  return [nth](int, int x) {
    static const one_processor its(nth);
    return x;
  };
}

}  // namespace

TEST_CASE("a vigil in vain is left out once, three times, seven times, and after a success no more") {
  vigil its;
  const auto waits_until_next = [&its] {
    int waits = 0;
    while (!its.next()) ++waits;
    return waits;
  };
  CHECK(waits_until_next() == 0);
  its.ended(true);
  CHECK(waits_until_next() == 0);
  for (const int left_out : {1, 3, 7, 15, 31, 63, 63}) {
    its.ended(false);
    CHECK(waits_until_next() == left_out);
  }
  its.ended(true);
  CHECK(waits_until_next() == 0);
  its.ended(false);
  CHECK(waits_until_next() == 1);
}

TEST_CASE("who waits for one short task of a worker on another processor does not sleep", "[no_tsan]") {
  if (lenskit::detail::usable_processors() < 2) LENSKIT_SKIP("it takes two processors");
  invoker pool(0, on_processor(1), on(lenskit::engine::processes, 1));
  const one_processor mine(0);
  ask(pool, 10);
  const auto times_slept = [] {
    rusage usage{};
    ::getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw;
  };
  // Somebody else may need the processors for a while.
  constexpr int calls = 50;
  long fewest = calls;
  for (int attempt = 0; attempt < 50 && fewest > calls / 2; ++attempt) {
    const auto before = times_slept();
    ask(pool, calls);
    fewest = std::min(fewest, times_slept() - before);
  }
  CHECK(fewest <= calls / 2);
}

TEST_CASE("who waits for a worker on its own processor sleeps, so that the worker can run", "[no_tsan]") {
  invoker pool(0, on_processor(0), on(lenskit::engine::processes, 1));
  const one_processor mine(0);
  ask(pool, 10);
  look_counter looks;
  constexpr int calls = 50;
  ask(pool, calls);
  constexpr int looks_of_a_sleeper = 4;
  CHECK(looks.take() <= calls * looks_of_a_sleeper);
}

TEST_CASE("who waits for long tasks sleeps nearly always", "[no_tsan]") {
  if (lenskit::detail::usable_processors() < 2) LENSKIT_SKIP("it takes two processors");
  const auto nap = [](int, int x) {
    static const one_processor its(1);
    std::this_thread::sleep_for(3ms);
    return x;
  };
  invoker pool(0, nap, on(lenskit::engine::processes, 1));
  const one_processor mine(0);
  look_counter looks;
  std::vector<int> of_each(40);
  for (auto& each : of_each) {
    ask(pool, 1);
    each = looks.take();
  }
  const auto half = of_each.begin() + 20;
  const auto awake = *std::max_element(of_each.begin(), of_each.end());
  CHECK(std::reduce(half, of_each.end()) < 6 * awake);
}
