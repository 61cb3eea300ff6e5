#include <lenskit/detail/log/foreign_call.hpp>
#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/os/system.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

namespace lenskit::detail {
namespace {

using namespace std::chrono_literals;

constexpr auto patience_of_a_fork = 1s;

// Plain atomics, so that a fork leaves none of it locked.
std::atomic<int> inside{0};              // threads in foreign calls
std::atomic<int> forks{0};               // under way
std::atomic<std::uint64_t> ended{0};     // foreign calls
std::atomic<std::uint64_t> hangs_at{0};  // `ended` + 1 when a fork gave up waiting
thread_local constinit int depth = 0;

bool enter() noexcept {
  inside.fetch_add(1);
  if (forks.load() == 0) return true;
  inside.fetch_sub(1);
  return false;
}

void wait_for_foreign_calls() noexcept {
  forks.fetch_add(1);
  const int own = depth > 0 ? 1 : 0;
  if (inside.load() <= own || hangs_at.load() == ended.load() + 1) return;
  const auto deadline = steady::now() + patience_of_a_fork;
  while (inside.load() > own) {
    if (steady::now() >= deadline) return hangs_at.store(ended.load() + 1);
    std::this_thread::sleep_for(50us);
  }
}

void go_on_in_parent() noexcept {
  forks.fetch_sub(1);
  forks.notify_all();
}

// The other threads are not here.
void go_on_in_child() noexcept {
  forks.store(0);
  inside.store(depth > 0 ? 1 : 0);
  hangs_at.store(0);
}

// Before there are threads, or with the first call, if that is made while the program is still initialised.
void register_once() noexcept {
  static std::atomic<bool> registered{false};
  if (registered.load(std::memory_order_relaxed) || registered.exchange(true)) return;
  sys::at_fork(wait_for_foreign_calls, go_on_in_parent, go_on_in_child);
}
[[maybe_unused]] const bool is_registered = (register_once(), true);

}  // namespace

foreign_call::foreign_call() noexcept : entered_(true) {
  if (depth++ > 0) return;
  register_once();
  while (!enter()) {
    if (const int others = forks.load(); others > 0) forks.wait(others);
  }
}

foreign_call::foreign_call(std::try_to_lock_t) noexcept {
  register_once();
  entered_ = depth > 0 || enter();
  if (entered_) ++depth;
}

foreign_call::~foreign_call() {
  if (!entered_ || --depth > 0) return;
  ended.fetch_add(1);
  inside.fetch_sub(1);
}

}  // namespace lenskit::detail
