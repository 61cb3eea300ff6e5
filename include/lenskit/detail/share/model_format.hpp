// How a stored model lies in its segment or file:
//
//   header | stream | array table | array ... | block checks
//
// The stream is the model's encoding, without the arrays that are out of band; the table says where those are, aligned
// to 64 bytes or what their elements ask for, up to a page. What is checked is cut into blocks with one checksum each,
// so that all cores can check it: in a file all of it; in sealed memory, which nothing can change, the stream and the
// table. The header is written last: without it nothing is a model (failure S8). The bytes are for programs built
// alike, on the same machine.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <typeinfo>

namespace lenskit::detail {

/// Which C++ type a model is of, as far as a program can tell.
struct model_type {
  std::uint64_t name_hash = 0;
  std::uint32_t size = 0;
  std::uint32_t alignment = 0;
  const char* name = "";  ///< as the compiler spells it, for messages
};

[[nodiscard]] model_type make_model_type(const std::type_info& type, std::size_t size, std::size_t alignment) noexcept;
template <class M>
[[nodiscard]] model_type model_type_of() noexcept {
  return make_model_type(typeid(M), sizeof(M), alignof(M));
}

/// Who can read a model: the program that wrote it, and those built like it.
struct model_identity {
  std::array<char, 8> magic{};
  std::uint32_t format = 0;
  std::uint32_t byte_order = 0;
  std::uint32_t library = 0;  ///< version of the library
  std::uint32_t abi = 0;      ///< hash of the sizes and alignments of the basic types, and of the version of Boost
  std::uint64_t type_name = 0;
  std::uint32_t type_size = 0;
  std::uint32_t type_alignment = 0;
};

struct model_header {
  model_identity identity{};
  std::uint64_t stream_bytes = 0;  ///< of the stream, which begins behind the header
  std::uint64_t table_offset = 0;
  std::uint64_t array_count = 0;
  std::uint64_t checked_end = 0;    ///< end of the blocks, of which the first begins behind the header
  std::uint64_t checks_offset = 0;  ///< of one checksum a block
  std::uint64_t total_bytes = 0;
  std::uint32_t checks_check = 0;  ///< checksum of the checksums
  std::uint32_t header_check = 0;  ///< checksum of everything above
};
static_assert(sizeof(model_header) == 96);

/// Where an array lies.
struct array_place {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

inline constexpr std::size_t block_bytes = std::size_t{4} << 20;

[[nodiscard]] constexpr std::uint64_t aligned_up(std::uint64_t offset, std::uint64_t alignment) noexcept {
  return (offset + alignment - 1) / alignment * alignment;
}
[[nodiscard]] constexpr std::uint64_t block_count(const model_header& header) noexcept {
  return (header.checked_end + block_bytes - 1) / block_bytes;
}

/// The part of the segment that check number `i` covers: offset and size.
[[nodiscard]] array_place block_place(const model_header& header, std::size_t i) noexcept;

/// What this program writes for a model of a type.
[[nodiscard]] model_identity make_model_identity(const model_type& type) noexcept;
/// Computes the header's own checksum.
void close_header(model_header& header) noexcept;

/// A stored model that was verified: where its parts are.
struct verified_model {
  std::span<const std::byte> stream;
  std::span<const array_place> arrays;
};

/// How far the bytes of a model are believed.
enum class model_origin {
  own_memory,     ///< this process sealed it: blocks need no check
  sealed_memory,  ///< another process sealed it
  file,           ///< anybody may have touched it: all of it must be covered by checks, and nothing may follow it
};

/// Verifies all that can be, blocks with all cores. `bytes` is aligned to 64. Throws persist_error that names what
/// differs.
[[nodiscard]] verified_model verify_model(std::span<const std::byte> bytes, const model_type& type,
                                          model_origin origin);

}  // namespace lenskit::detail
