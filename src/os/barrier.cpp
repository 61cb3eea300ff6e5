#include <lenskit/detail/os/barrier.hpp>
#include <lenskit/detail/os/system.hpp>

#include <linux/membarrier.h>

#include <atomic>

namespace lenskit::detail {

bool has_barriers() noexcept {
  constexpr int wanted = MEMBARRIER_CMD_GLOBAL_EXPEDITED | MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED;
  const int known = sys::membarrier(MEMBARRIER_CMD_QUERY);
  return known > 0 && (known & wanted) == wanted;
}

bool pass_barriers() noexcept { return sys::membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0; }

bool barrier_for_all() noexcept {
  const bool done = sys::membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) == 0;
  // The kernel leaves out a caller that is not registered.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return done;
}

}  // namespace lenskit::detail
