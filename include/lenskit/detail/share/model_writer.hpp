// Copies a model into its segment or file, as fast as the machine does it.
#pragma once

#include <lenskit/detail/share/model_parts.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace lenskit::detail {

/// Puts bytes at an offset of the target. Called from several threads for ranges that do not overlap.
using model_target = std::function<void(std::uint64_t offset, std::span<const std::byte>)>;

enum class writers {
  all,  ///< every thread takes a block, sums it and puts what it has just summed
  one,  ///< the calling thread does it: for a target that takes no more from many at a time than from one
};

/// Writes what `parts` laid out, with as many threads as help; the header comes last. Passes on what `target` throws.
void write_model(const model_parts& parts, const model_target& target, writers how = writers::all);

/// The target that writes to a descriptor. Throws no_space, naming `where`, or persist_error.
[[nodiscard]] model_target write_to(int fd, std::uint64_t total_bytes, std::string where);

}  // namespace lenskit::detail
