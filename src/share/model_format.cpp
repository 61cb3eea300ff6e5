#include <lenskit/detail/os/crew.hpp>
#include <lenskit/detail/share/model_format.hpp>
#include <lenskit/detail/wire/crc32c.hpp>
#include <lenskit/error.hpp>
#include <lenskit/version.hpp>

#include <boost/core/demangle.hpp>
#include <boost/version.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace lenskit::detail {
namespace {

constexpr std::array<char, 8> magic{'L', 'K', 'M', 'O', 'D', 'E', 'L', '\n'};
constexpr std::uint32_t format_version = 1;
constexpr std::uint32_t byte_order = 0x01020304;
constexpr std::uint32_t library_version =
    LENSKIT_PARALLEL_VERSION_MAJOR << 16 | LENSKIT_PARALLEL_VERSION_MINOR << 8 | LENSKIT_PARALLEL_VERSION_PATCH;

constexpr std::uint64_t hash(std::string_view text) noexcept {  // FNV-1a
  std::uint64_t state = 0xcbf29ce484222325;
  for (const char c : text) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return state;
}

std::uint32_t abi() noexcept {
  const std::array<std::size_t, 14> facts{
      sizeof(void*),  sizeof(long),       sizeof(wchar_t),  sizeof(long double), alignof(long double),
      sizeof(double), alignof(long long), sizeof(char32_t), sizeof(std::size_t), alignof(std::max_align_t),
      sizeof(bool),   sizeof(int),        sizeof(float),    BOOST_VERSION};
  return crc32c(facts.data(), sizeof facts);
}

std::uint32_t check_of(const model_header& header) noexcept {
  return crc32c(&header, offsetof(model_header, header_check));
}

[[noreturn]] void refuse(const std::string& why) { throw persist_error("cannot load model: " + why); }

template <class T>
void expect(const char* what, const T& found, const T& expected) {
  if (found != expected) refuse(fmt::format("its {} is {:#x}, expected {:#x}", what, found, expected));
}

// What says that the bytes are a model at all, of this program and of this type.
void verify_identity(const model_header& header, const model_type& type) {
  const auto& found = header.identity;
  const auto expected = make_model_identity(type);
  if (found.magic != expected.magic) refuse("it does not begin like a model, or was never finished");
  expect("format version", found.format, expected.format);
  expect("byte order", found.byte_order, expected.byte_order);
  expect("header checksum", header.header_check, check_of(header));
  expect("library version", found.library, expected.library);
  expect("set of type sizes and alignments", found.abi, expected.abi);
  if (found.type_name != expected.type_name || found.type_size != expected.type_size ||
      found.type_alignment != expected.type_alignment)
    refuse(fmt::format("it is of another type than {}", boost::core::demangle(type.name)));
}

// Every offset is compared without adding to it, since a hostile header may overflow.
void verify_layout(const model_header& header, std::size_t available, bool file) {
  constexpr std::uint64_t begin = sizeof(model_header);
  if (file) expect<std::uint64_t>("size", available, header.total_bytes);
  if (header.total_bytes > available || header.total_bytes < begin)
    refuse(fmt::format("it is cut off after {} of {} bytes", available, header.total_bytes));
  const auto fits = [](std::uint64_t offset, std::uint64_t count, std::uint64_t size, std::uint64_t end) {
    return offset >= begin && offset <= end && count <= (end - offset) / size;
  };
  const bool sound =
      fits(begin, header.stream_bytes, 1, header.table_offset) && header.table_offset % alignof(array_place) == 0 &&
      fits(header.table_offset, header.array_count, sizeof(array_place), header.checked_end) &&
      header.checked_end <= header.checks_offset && header.checks_offset % sizeof(std::uint32_t) == 0 &&
      fits(header.checks_offset, block_count(header), sizeof(std::uint32_t), header.total_bytes) &&
      (!file || (header.checked_end == header.checks_offset &&
                 header.checks_offset + block_count(header) * sizeof(std::uint32_t) == header.total_bytes));
  if (!sound) refuse("its layout is damaged");
}

void verify_blocks(const model_header& header, std::span<const std::byte> bytes) {
  const auto count = static_cast<std::size_t>(block_count(header));
  const std::span checks(reinterpret_cast<const std::uint32_t*>(bytes.data() + header.checks_offset), count);
  expect("checksum of checksums", header.checks_check, crc32c(checks.data(), checks.size_bytes()));
  const auto threads =
      std::min(count / 2, usable_processors());  // a thread is not worth starting for less than two blocks
  run_crew(count, threads, [&](std::size_t i) {
    const auto place = block_place(header, i);
    if (crc32c(bytes.data() + place.offset, place.bytes) != checks[i])
      refuse(fmt::format("its bytes {} to {} are damaged", place.offset, place.offset + place.bytes));
  });
}

}  // namespace

model_type make_model_type(const std::type_info& type, std::size_t size, std::size_t alignment) noexcept {
  return {hash(type.name()), static_cast<std::uint32_t>(size), static_cast<std::uint32_t>(alignment), type.name()};
}

model_identity make_model_identity(const model_type& type) noexcept {
  return {.magic = magic,
          .format = format_version,
          .byte_order = byte_order,
          .library = library_version,
          .abi = abi(),
          .type_name = type.name_hash,
          .type_size = type.size,
          .type_alignment = type.alignment};
}

array_place block_place(const model_header& header, std::size_t i) noexcept {
  const auto begin = std::max<std::uint64_t>(i * block_bytes, sizeof(model_header));
  return {begin, std::min<std::uint64_t>((i + 1) * block_bytes, header.checked_end) - begin};
}

void close_header(model_header& header) noexcept { header.header_check = check_of(header); }

verified_model verify_model(std::span<const std::byte> bytes, const model_type& type, model_origin origin) {
  if (bytes.size() < sizeof(model_header)) refuse(fmt::format("{} bytes are too few for a model", bytes.size()));
  model_header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  verify_identity(header, type);
  verify_layout(header, bytes.size(), origin == model_origin::file);
  if (origin != model_origin::own_memory) verify_blocks(header, bytes);
  const std::span arrays(reinterpret_cast<const array_place*>(bytes.data() + header.table_offset),
                         static_cast<std::size_t>(header.array_count));
  for (const auto& array : arrays) {
    const auto begin = header.table_offset + arrays.size_bytes();
    if (array.offset < begin || array.offset > header.checks_offset ||
        array.bytes > header.checks_offset - array.offset)
      refuse("an array lies outside of it");
  }
  return {bytes.subspan(sizeof(model_header), static_cast<std::size_t>(header.stream_bytes)), arrays};
}

}  // namespace lenskit::detail
