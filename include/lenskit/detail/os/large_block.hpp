// Memory for messages: large blocks come into existence a huge page at a time, and two that are given back are kept.
#pragma once

#include <cstddef>

namespace lenskit::detail {

/// So many bytes for `free_block`, not zeroed; null if there is no memory. Touching fresh pages takes longer than
/// everything else that is done to a large message, so that huge ones are asked for, and two blocks of at most 32 MB,
/// with what is in them, wait for the next ones to ask. Thread-safe and lock-free, so that a fork finds it usable.
[[nodiscard]] std::byte* allocate_block(std::size_t bytes) noexcept;
void free_block(std::byte* block) noexcept;

struct free_bytes {
  void operator()(std::byte* bytes) const noexcept { free_block(bytes); }
};

}  // namespace lenskit::detail
