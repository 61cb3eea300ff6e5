// Whether somebody else wants to be asked at forks.
#pragma once

namespace lenskit::detail {

/// Whether a library that is loaded, other than this one and the C library's own, can register handlers of forks
/// (pthread_atfork). Those of the program itself cannot be told from ours, which may be linked into it. Takes the
/// loader's lock.
[[nodiscard]] bool others_handle_forks() noexcept;

}  // namespace lenskit::detail
