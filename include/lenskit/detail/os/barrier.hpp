// A memory barrier that one process makes many others pass (membarrier), so that they need none of their own where they
// are in a hurry.
#pragma once

namespace lenskit::detail {

/// Whether the kernel has such barriers.
[[nodiscard]] bool has_barriers() noexcept;
/// From here on this process passes the barriers of others; to be called again in a fork. False if the kernel refuses.
bool pass_barriers() noexcept;
/// A full barrier for the calling thread and for every running thread of the processes that called `pass_barriers`.
/// False if the kernel refuses: then only the caller has passed one.
[[nodiscard]] bool barrier_for_all() noexcept;

}  // namespace lenskit::detail
