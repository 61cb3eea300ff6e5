#include <lenskit/detail/worker/clock_stride.hpp>

#include <algorithm>

namespace lenskit::detail {
namespace {

// The clock is read about this often.
constexpr std::int64_t look_every_ns = 20'000;
// A chunk whose tasks suddenly take long is looked at this many times at least.
constexpr std::uint32_t looks_per_chunk = 8;

}  // namespace

void clock_stride::begin(std::uint32_t tasks, std::int64_t now) noexcept {
  most_ = std::max(tasks / looks_per_chunk, 1U);
  tasks_ = std::min(tasks_, most_);
  left_ = tasks_ + 1;
  began_at_ = now;
}

void clock_stride::renew(std::int64_t now) noexcept {
  const auto passed = now - began_at_;
  if (passed < look_every_ns / 2) tasks_ *= 2;
  if (passed > look_every_ns * 2) tasks_ = std::max(tasks_ / 2, 1U);
  tasks_ = std::min(tasks_, most_);
  left_ = tasks_;
  began_at_ = now;
}

}  // namespace lenskit::detail
