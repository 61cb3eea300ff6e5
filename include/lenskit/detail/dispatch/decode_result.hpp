// The typed end of a pool in the caller: how the result of a task is read.
#pragma once

#include <lenskit/detail/dispatch/task_stream.hpp>
#include <lenskit/detail/wire/codec.hpp>

#include <cstdint>
#include <exception>
#include <new>
#include <span>

namespace lenskit::detail {

/// The value at which `stream` stands. Throws what reading it throws; the stream goes on behind it all the same.
template <class R>
R decode_result(task_stream& stream) {
  auto& in = stream.value_bytes();
  if constexpr (wire_bitwise<R>) {
    return decode<R>(in);
  } else {
    std::span<const std::byte> bytes;
    try {
      bytes = in.take(in.get<std::uint64_t>("the length of a result"), "a result");
    } catch (...) {  // where the next result begins is lost as well
      stream.spoil(std::current_exception());
      throw;
    }
    reader one(bytes, stream.attachments());
    try {
      return decode<R>(one);
    } catch (const std::bad_alloc&) {
      rethrow_too_large(bytes.size());
    }
  }
}

}  // namespace lenskit::detail
