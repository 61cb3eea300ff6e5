// Locks of the C library that a fork beside threads may leave locked for ever (failure B4).
#pragma once

namespace lenskit::detail {

/// In a forked child of one thread: takes and releases, one after the other, those locks of the C library that its own
/// fork does not mend. If another thread of the parent was inside one of these facilities, this hangs, and so would
/// every task that uses it. It changes nothing that a program can see.
void try_inherited_locks() noexcept;

}  // namespace lenskit::detail
