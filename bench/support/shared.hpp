// A value in memory that forked processes share with this one.
#pragma once

#include <support/child.hpp>

#include <sys/mman.h>

#include <new>

namespace bench {

template <class T>
class shared {
 public:
  shared() {
    void* const room = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) fail("mmap");
    value_ = new (room) T();
  }
  ~shared() { ::munmap(value_, sizeof(T)); }
  shared(const shared&) = delete;
  shared& operator=(const shared&) = delete;

  [[nodiscard]] T& operator*() const { return *value_; }
  [[nodiscard]] T* operator->() const { return value_; }

 private:
  T* value_;
};

}  // namespace bench
