// What runs in the spawner process.
#pragma once

#include <lenskit/detail/engines/spawner.hpp>
#include <lenskit/detail/os/process.hpp>

namespace lenskit::detail {

/// How the spawner starts.
struct spawner_start {
  pid_t parent;         ///< with which it ends
  int control;          ///< where it is told what to do; it ends when that closes
  bool beside_threads;  ///< whether the parent has other threads, which may have held locks
  bool as_orphan;       ///< whether somebody else than the parent is to bury it
};

/// The spawner's life, in the freshly forked process: forks what it is asked for, reaps what ends.
[[noreturn]] void run_spawner(worker_program& program, const spawner_start& how) noexcept;

}  // namespace lenskit::detail
