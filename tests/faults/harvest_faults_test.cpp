// Results that the parent fetches by itself, because a task keeps them, beside those that the worker sends.
#include <lenskit/detail/os/system.hpp>
#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <ranges>
#include <thread>
#include <vector>

using lenskit::invoker;
using lenskit::tests::on;
using namespace std::chrono_literals;
namespace sys = lenskit::detail::sys;

namespace {

// What workers have sent waits for so long, as it does where the program gets no processor.
class slow_receiver final : public sys::interceptor {
 public:
  slow_receiver() { sys::intercept(this); }
  ~slow_receiver() override { sys::intercept(nullptr); }
  slow_receiver(const slow_receiver&) = delete;
  slow_receiver& operator=(const slow_receiver&) = delete;
  int fail(sys::call which) noexcept override {
    if (which == sys::call::recvmsg && ::getpid() == here_) std::this_thread::sleep_for(6ms);
    return 0;
  }

 private:
  const pid_t here_ = ::getpid();
};

void work_for(std::chrono::microseconds length) {
  const auto end = std::chrono::steady_clock::now() + length;
  while (std::chrono::steady_clock::now() < end) {}
}

}  // namespace

TEST_CASE("results that are fetched do not overtake what the worker has sent before", "[no_tsan]") {
  constexpr int tasks = 4000;
  auto options = on(lenskit::engine::processes, 3);
  options.chunk_size = 500;
  invoker inv(
      0,
      [](int, int x) {
        work_for(50us);
        return x;
      },
      options);
  CHECK(inv.map(std::vector{1}).collect() == std::vector{1});
  std::vector<int> expected(tasks);
  std::iota(expected.begin(), expected.end(), 0);
  const slow_receiver slow;
  CHECK(inv.map(std::views::iota(0, tasks)).collect() == expected);
}
