// The checksum of frames and files: CRC-32C (Castagnoli), which x86-64 and ARMv8 processors compute themselves.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lenskit::detail {

/// The CRC-32C of `bytes` bytes, continued from `seed`, the checksum of what comes before them.
[[nodiscard]] std::uint32_t crc32c(const void* data, std::size_t bytes, std::uint32_t seed = 0) noexcept;

/// The same without the processor's help, for processors that have none and for tests.
[[nodiscard]] std::uint32_t crc32c_by_table(const void* data, std::size_t bytes, std::uint32_t seed = 0) noexcept;

/// Whether this processor helps.
[[nodiscard]] bool crc32c_in_hardware() noexcept;

}  // namespace lenskit::detail
