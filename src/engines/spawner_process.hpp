// What runs in the spawner process.
#pragma once

#include <lenskit/detail/engines/spawner.hpp>
#include <lenskit/detail/os/process.hpp>

namespace lenskit::detail {

/// The spawner's life, in the freshly forked process: forks what it is asked for over `control`, reaps what ends, and
/// ends with its parent, the process `parent`, or when `control` closes.
[[noreturn]] void run_spawner(worker_program& program, pid_t parent, int control) noexcept;

}  // namespace lenskit::detail
