// Memory for messages: large ones come into existence a huge page at a time.
#pragma once

#include <cstddef>
#include <cstdlib>

namespace lenskit::detail {

struct free_bytes {
  void operator()(std::byte* bytes) const noexcept { std::free(bytes); }
};

/// So many bytes for `std::free`, not zeroed by us; null if there is no memory. Touching fresh small pages takes longer
/// than everything else that is done to a large message, so that huge ones are asked for.
[[nodiscard]] std::byte* allocate_block(std::size_t bytes) noexcept;

}  // namespace lenskit::detail
