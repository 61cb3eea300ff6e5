// A program, or a thread, that may use one processor only.
#pragma once

#include <sched.h>

#include <cstddef>

namespace lenskit::tests {

/// Keeps this thread, and what it starts or forks, on one of the processors that it may use: the first, or another one.
class one_processor {
 public:
  explicit one_processor(int nth = 0) {
    cpu_set_t one;
    ::sched_getaffinity(0, sizeof before_, &before_);
    CPU_ZERO(&one);
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
      if (CPU_ISSET(cpu, &before_) && nth-- == 0) CPU_SET(cpu, &one);
    }
    ::sched_setaffinity(0, sizeof one, &one);
  }
  ~one_processor() { ::sched_setaffinity(0, sizeof before_, &before_); }
  one_processor(const one_processor&) = delete;
  one_processor& operator=(const one_processor&) = delete;

 private:
  cpu_set_t before_{};
};

}  // namespace lenskit::tests
