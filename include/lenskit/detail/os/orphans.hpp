// Who buries processes whose parent has ended.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace lenskit::detail {

/// Whether a process that loses its parent is buried by somebody else. Not so if this process adopts it (process 1 of a
/// container, a subreaper), nor while several orphans of this process stay zombies, as in a container whose first
/// process buries nobody, or late.
[[nodiscard]] bool others_bury_orphans() noexcept;

/// Says that `pid`, an orphan of this process, has ended just now: whether it is buried is looked at later.
void note_ended_orphan(pid_t pid) noexcept;

/// Buries every child of this process that is a zombie of that name (as `PR_SET_NAME` set it). Children of the host
/// have other names. Does nothing where others bury orphans.
void bury_adopted(const char* name) noexcept;

/// Whether that process is a zombie.
[[nodiscard]] bool is_zombie(pid_t pid) noexcept;

/// What a process does: `waits_for_lock` says that it waits in the futex `futex`, which is that of a plain lock of the
/// C library, or of one with readers and writers. `sleeps` if it waits and cannot be asked for what.
struct sight {
  enum class state { runs, waits_for_lock, sleeps, is_gone } what = state::runs;
  std::uintptr_t futex = 0;
  bool has_readers = false;
};
[[nodiscard]] sight look_at(pid_t pid) noexcept;

/// The number of threads of this process; 2 if that cannot be known.
[[nodiscard]] int count_threads() noexcept;

}  // namespace lenskit::detail
