#include "held_locks.hpp"

#include <lenskit/detail/os/child.hpp>
#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/os/loaded_file.hpp>

#include <sys/syscall.h>

#include <linux/futex.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <string_view>

namespace lenskit::detail {
namespace {

using namespace std::chrono_literals;

// The C library has no door to most of its locks, and its own fork holds only some. They are all of one kind: a word
// that is 0 if it is free, 1 if it is held, 2 if somebody waits for it as well.
using lock_word = std::atomic<int>;
static_assert(sizeof(lock_word) == sizeof(int));
constexpr int is_free = 0;
constexpr int is_held = 1;
constexpr int is_awaited = 2;

constexpr std::size_t most = 16;
std::array<std::atomic<lock_word*>, most> known{};
std::array<lock_word*, most> held{};  // of the fork under way

constexpr auto patience = 5ms;  // with all of them: two threads might wait for each other

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

bool is_c_library(std::string_view path) noexcept {
  const auto name = path.substr(path.rfind('/') + 1);
  return name.starts_with("libc.") || name.starts_with("libc-") || name.starts_with("ld-linux");
}

}  // namespace

bool hold_at_forks(std::uintptr_t futex) {
  const auto file = find_loaded_file(futex);
  if (futex % alignof(lock_word) != 0 || !file || !is_c_library(file->path)) return false;
  auto* const lock = reinterpret_cast<lock_word*>(futex);  // NOLINT(performance-no-int-to-ptr)
  for (auto& place : known) {
    lock_word* none = nullptr;
    if (place.compare_exchange_strong(none, lock)) return true;
    if (none == lock) return false;
  }
  return false;
}

void take_held_locks() noexcept {
  const auto deadline = steady::now() + patience;
  for (std::size_t i = 0; i < most; ++i) {
    auto* const lock = known[i].load();
    held[i] = lock != nullptr && take(*lock, deadline) ? lock : nullptr;
  }
}

void release_held_locks() noexcept {
  for (auto*& lock : held) {
    if (lock != nullptr && lock->exchange(is_free, std::memory_order_release) == is_awaited)
      ::syscall(SYS_futex, lock, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 0);
    lock = nullptr;
  }
}

void free_held_locks() noexcept {
  for (auto*& lock : held) {
    if (lock != nullptr) lock->store(is_free, std::memory_order_release);
    lock = nullptr;
  }
}

}  // namespace lenskit::detail
