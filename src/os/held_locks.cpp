#include "held_locks.hpp"

#include <lenskit/detail/os/child.hpp>
#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/os/loaded_file.hpp>

#include <sys/syscall.h>

#include <linux/futex.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace lenskit::detail {
namespace {

using namespace std::chrono_literals;

// The C library has no door to most of its locks, and its own fork holds only some. They are of two kinds. One is a
// word that is 0 if it is free, 1 if it is held, 2 if somebody waits for it as well. The other is pthread_rwlock_t.
using lock_word = std::atomic<int>;
static_assert(sizeof(lock_word) == sizeof(int));
constexpr int is_free = 0;
constexpr int is_held = 1;
constexpr int is_awaited = 2;

// A lock by its address. With readers it is odd: their lowest bit is free.
using known_lock = std::uintptr_t;
constexpr known_lock readers_mark = 1;

constexpr std::size_t most_known = 16;
std::array<std::atomic<known_lock>, most_known> known{};
std::array<known_lock, most_known> held_now{};  // of the fork under way

lock_word& word_of(known_lock lock) noexcept {
  return *reinterpret_cast<lock_word*>(lock);  // NOLINT(performance-no-int-to-ptr)
}
pthread_rwlock_t* readers_lock(known_lock lock) noexcept {
  return reinterpret_cast<pthread_rwlock_t*>(lock - readers_mark);  // NOLINT(performance-no-int-to-ptr)
}
bool has_readers(known_lock lock) noexcept { return (lock & readers_mark) != 0; }

// In a pthread_rwlock_t the words to wait for are the third and the fourth, and it starts at a multiple of eight.
known_lock with_readers(std::uintptr_t futex) noexcept {
  constexpr std::uintptr_t third = 8;
  constexpr std::uintptr_t alignment = 8;
  return futex / alignment * alignment - third + readers_mark;
}

constexpr auto patience_with_held = 20ms;  // with all of them: two threads might wait for each other

bool take(lock_word& lock, steady::time_point deadline) noexcept {
  int before = is_free;
  if (lock.compare_exchange_strong(before, is_held, std::memory_order_acquire)) return true;
  while (lock.exchange(is_awaited, std::memory_order_acquire) != is_free) {
    const auto left = deadline - steady::now();
    if (left <= 0ns) return false;  // that somebody waits stays noted, which costs its holder one look
    const timespec limit{0, std::chrono::nanoseconds(left).count()};
    ::syscall(SYS_futex, &lock, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, is_awaited, &limit, nullptr, 0);
  }
  return true;
}

bool take_with_readers(pthread_rwlock_t* lock, steady::time_point deadline) noexcept {
  const auto since_start = std::chrono::nanoseconds(deadline.time_since_epoch());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_start);
  const timespec limit{seconds.count(), (since_start - seconds).count()};
  return ::pthread_rwlock_clockwrlock(lock, CLOCK_MONOTONIC, &limit) == 0;
}

bool is_c_library(std::string_view path) noexcept {
  const auto name = path.substr(path.rfind('/') + 1);
  return name.starts_with("libc.") || name.starts_with("libc-") || name.starts_with("ld-linux");
}

}  // namespace

bool hold_at_forks(std::uintptr_t futex, bool of_readers) {
  const auto file = find_loaded_file(futex);
  if (futex % alignof(lock_word) != 0 || !file || !is_c_library(file->path)) return false;
  const auto lock = of_readers ? with_readers(futex) : futex;
  for (auto& place : known) {
    known_lock none = 0;
    if (place.compare_exchange_strong(none, lock)) return true;
    if (none == lock) return false;
  }
  return false;
}

void take_held_locks() noexcept {
  const auto deadline = steady::now() + patience_with_held;
  for (std::size_t i = 0; i < most_known; ++i) {
    const auto lock = known[i].load();
    held_now[i] = 0;
    if (lock == 0) continue;
    const bool taken =
        has_readers(lock) ? take_with_readers(readers_lock(lock), deadline) : take(word_of(lock), deadline);
    if (taken) held_now[i] = lock;
  }
}

void release_held_locks() noexcept {
  for (auto& each : held_now) {
    const auto lock = std::exchange(each, 0);
    if (lock == 0) continue;
    if (has_readers(lock)) {
      ::pthread_rwlock_unlock(readers_lock(lock));
    } else if (word_of(lock).exchange(is_free, std::memory_order_release) == is_awaited) {
      ::syscall(SYS_futex, &word_of(lock), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 0);
    }
  }
}

// One with readers knows its writer by the number of the thread, which is another one here.
void free_held_locks() noexcept {
  for (auto& each : held_now) {
    const auto lock = std::exchange(each, 0);
    if (lock == 0) continue;
    if (has_readers(lock))
      ::pthread_rwlock_init(readers_lock(lock), nullptr);
    else
      word_of(lock).store(is_free, std::memory_order_release);
  }
}

}  // namespace lenskit::detail
