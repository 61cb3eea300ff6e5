#include <lenskit/detail/log/foreign_call.hpp>
#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/os/system.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>

namespace lenskit::detail {
namespace {

using namespace std::chrono_literals;

constexpr auto patience_of_a_fork = 1s;
constexpr auto pause_between_looks = 50us;
constexpr std::size_t most_at_once = 64;
constexpr std::size_t nowhere = most_at_once;

// Plain atomics, so that a fork leaves none of it locked.
std::array<std::atomic<std::uint64_t>, most_at_once> running{};  // numbers of the calls under way; 0: a free place
std::atomic<std::uint64_t> calls_begun{0};                       // calls, which are numbered from 1
std::atomic<std::uint64_t> known_to_hang{0};                     // those up to this number that still run are hanging
std::atomic<int> forks{0};                                       // under way
thread_local constinit int call_depth = 0;
thread_local constinit std::size_t own_place = nowhere;

bool enter() noexcept {
  const auto number = calls_begun.fetch_add(1) + 1;
  for (std::size_t i = 0; i < most_at_once; ++i) {
    std::uint64_t free = 0;
    if (running[i].load(std::memory_order_relaxed) != 0 || !running[i].compare_exchange_strong(free, number)) continue;
    if (forks.load() == 0) {
      own_place = i;
      return true;
    }
    running[i].store(0);
    return false;
  }
  return false;
}

void wait_for_foreign_calls() noexcept {
  forks.fetch_add(1);
  const auto hanging = known_to_hang.load();
  const auto awaited = [&](const std::atomic<std::uint64_t>& call) {
    const bool own = own_place != nowhere && &call == &running[own_place];
    return !own && call.load() > hanging;
  };
  const auto deadline = steady::now() + patience_of_a_fork;
  while (std::any_of(running.begin(), running.end(), awaited)) {
    if (steady::now() >= deadline) return known_to_hang.store(calls_begun.load());
    std::this_thread::sleep_for(pause_between_looks);
  }
}

void go_on_in_parent() noexcept {
  forks.fetch_sub(1);
  forks.notify_all();
}

// The other threads are not here.
void go_on_in_child() noexcept {
  forks.store(0);
  for (std::size_t i = 0; i < most_at_once; ++i)
    if (i != own_place) running[i].store(0);
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
  if (call_depth++ > 0) return;
  register_once();
  while (!enter()) {
    if (const int others = forks.load(); others > 0)
      forks.wait(others);
    else
      std::this_thread::sleep_for(pause_between_looks);
  }
}

foreign_call::foreign_call(std::try_to_lock_t) noexcept {
  register_once();
  entered_ = call_depth > 0 || enter();
  if (entered_) ++call_depth;
}

foreign_call::~foreign_call() {
  if (!entered_ || --call_depth > 0) return;
  running[own_place].store(0);
  own_place = nowhere;
}

}  // namespace lenskit::detail
