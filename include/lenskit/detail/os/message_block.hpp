// Memory for messages: blocks that are given back are kept, and large ones come into existence a huge page at a time.
#pragma once

#include <cstddef>

namespace lenskit::detail {

/// So many bytes for `free_block`, not zeroed; null if there is no memory. Touching fresh pages takes longer than
/// everything else that is done to a message, and malloc gives the end of the heap back to the kernel again and again:
/// 32 blocks of 16 to 512 KB, four of up to 4 MB and two of up to 128 MB, with what is in them, wait for the next ones
/// to ask, and for large ones huge pages are asked for. Thread-safe and lock-free, so that a fork finds it usable.
[[nodiscard]] std::byte* allocate_block(std::size_t bytes) noexcept;
void free_block(std::byte* block) noexcept;

/// Whether blocks of more than 4 MB are kept, which is worth it only while there are more such messages to come.
[[nodiscard]] bool keeps_large_blocks() noexcept;
/// Gives these back.
void free_large_kept_blocks() noexcept;

struct free_bytes {
  void operator()(std::byte* bytes) const noexcept { free_block(bytes); }
};

}  // namespace lenskit::detail
