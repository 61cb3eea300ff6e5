#include <lenskit/detail/dispatch/chunk.hpp>
#include <lenskit/detail/wire/reader.hpp>

namespace lenskit::detail {

std::size_t argument_offset(std::span<const std::byte> bytes, std::size_t record_bytes, std::uint32_t position) {
  if (record_bytes != 0) return record_bytes * position;
  reader lengths(bytes);
  for (std::uint32_t task = 0; task < position; ++task) {
    const auto length = lengths.get<std::uint64_t>("the length of a task's arguments");
    std::ignore = lengths.take(length, "a task's arguments");
  }
  return bytes.size() - lengths.left();
}

}  // namespace lenskit::detail
