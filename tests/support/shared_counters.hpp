// Counters that forked processes share with this one: how often something really happened.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <new>
#include <numeric>

namespace lenskit::tests {

class shared_counters {
 public:
  using counter = std::atomic<int>;
  static_assert(counter::is_always_lock_free);

  explicit shared_counters(std::size_t count) : count_(count) {
    void* const room =
        ::mmap(nullptr, count * sizeof(counter), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) throw std::bad_alloc();
    counters_ = static_cast<counter*>(room);
  }
  ~shared_counters() { ::munmap(counters_, count_ * sizeof(counter)); }
  shared_counters(const shared_counters&) = delete;
  shared_counters& operator=(const shared_counters&) = delete;

  [[nodiscard]] counter& operator[](std::size_t at) const { return counters_[at]; }
  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] int sum() const {
    return std::accumulate(counters_, counters_ + count_, 0,
                           [](int sum, const counter& each) { return sum + each.load(); });
  }

 private:
  std::size_t count_;
  counter* counters_;
};

}  // namespace lenskit::tests
