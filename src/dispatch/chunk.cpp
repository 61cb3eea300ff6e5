#include <lenskit/detail/dispatch/call.hpp>
#include <lenskit/detail/dispatch/chunk.hpp>
#include <lenskit/detail/wire/reader.hpp>

#include <tuple>

namespace lenskit::detail {

std::shared_ptr<chunk> make_chunk() {
  auto made = std::make_shared<chunk>();
  made->room.emplace_back();
  return made;
}

// What is cut was encoded here, so that it cannot be corrupt.
void split_chunk(chunk& from, std::uint32_t position, chunk& rest) noexcept {
  rest.call = from.call;
  rest.first_index = from.first_index + position;
  rest.count = from.count - position;
  rest.arguments = from.arguments;
  const auto at = argument_offset(from.argument_bytes, from.arguments->record_bytes, position);
  rest.argument_bytes = from.argument_bytes.subspan(at);
  from.argument_bytes = from.argument_bytes.first(at);
  from.count = position;
}

assignment assign_rest(chunk& work, std::uint64_t name) noexcept {
  work.name = name;
  work.base = work.settled;
  work.limit = work.count;
  const auto at = argument_offset(work.argument_bytes, work.arguments->record_bytes, work.base);
  assignment given;
  given.chunk = name;
  given.first_index = work.first_index + work.base;
  given.count = work.count - work.base;
  given.send_every_us = static_cast<std::uint16_t>(work.call->pace.grain_ns() / 1000);
  given.plan = std::shared_ptr<const call_plan>(work.call, &work.call->plan);
  given.arguments = work.arguments;
  given.argument_bytes = work.argument_bytes.subspan(at);
  return given;
}

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
