// Locks of the C library that are held while the library forks.
#pragma once

namespace lenskit::detail {

/// Takes those that can be had within a moment. In the thread that forks, behind all handlers but those of the C
/// library.
void take_held_locks() noexcept;
/// Gives them back, in the parent.
void release_held_locks() noexcept;
/// The same in the child, where nobody waits for them.
void free_held_locks() noexcept;

}  // namespace lenskit::detail
