// expect: \[with T = holds_a_lock\]
#include <lenskit/detail/wire/codec.hpp>

#include <mutex>
#include <vector>

struct holds_a_lock {
  std::vector<int> values;
#ifndef CORRECTED
  std::mutex gate;
#endif
};

void send(lenskit::detail::writer& out, const holds_a_lock& value) { lenskit::detail::encode(out, value); }
