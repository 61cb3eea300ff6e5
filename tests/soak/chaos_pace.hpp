// How fast the machine is while a run waits: a wait is too long only by the time that processes really had.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>

namespace lenskit::soak::chaos {

/// A process that does nothing but work now and then, and measures how long it takes: on a machine that others use as
/// well, longer than it should. Make it before any run; runs inherit it.
class pace_maker {
 public:
  pace_maker();
  ~pace_maker();
  pace_maker(const pace_maker&) = delete;
  pace_maker& operator=(const pace_maker&) = delete;

 private:
  pid_t pid_;
};

/// What the pace maker has done up to a moment.
struct pace {
  std::int64_t wanted_ns = 0;
  std::int64_t taken_ns = 0;

  static pace now() noexcept;
};

/// How many times longer than on an idle machine things have taken since `then`; at least 1.
double slowness_since(const pace& then) noexcept;

}  // namespace lenskit::soak::chaos
