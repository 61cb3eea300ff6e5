// The threads of this process besides the calling one.
#pragma once

#include <string>
#include <vector>

namespace lenskit::detail {

/// Their names, but those of the library; empty if they cannot be known.
[[nodiscard]] std::vector<std::string> names_of_other_threads();

/// Marks the calling thread as one of the library.
void name_thread_of_library() noexcept;

}  // namespace lenskit::detail
