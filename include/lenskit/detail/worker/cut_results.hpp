// Results that do not fit into the memory of the caller.
#pragma once

#include <lenskit/detail/wire/frame.hpp>

namespace lenskit::detail {

/// Turns a results message of which bytes are missing into one in which each of its tasks has failed, with the number
/// of bytes. Throws std::bad_alloc.
void fail_cut_results(frame& message);

}  // namespace lenskit::detail
