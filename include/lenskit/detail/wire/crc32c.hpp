// The checksum of frames and files: CRC-32C (Castagnoli), which x86-64 and ARMv8 processors compute themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lenskit::detail {

/// The CRC-32C of `bytes` bytes, continued from `seed`, the checksum of what comes before them.
[[nodiscard]] std::uint32_t crc32c(const void* data, std::size_t bytes, std::uint32_t seed = 0) noexcept;

/// The ways to compute it that this processor has, the fastest last, for tests: all come to the same.
[[nodiscard]] std::span<std::uint32_t (*const)(const void* data, std::size_t bytes, std::uint32_t seed) noexcept>
crc32c_ways() noexcept;

}  // namespace lenskit::detail
