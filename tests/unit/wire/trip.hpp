// There and back again: what the codec tests share.
#pragma once

#include <lenskit/detail/wire/codec.hpp>

#include <cstddef>
#include <span>
#include <stdexcept>
#include <vector>

namespace lenskit::tests {

template <class T>
std::vector<std::byte> encoded(const T& value) {
  detail::writer out;
  detail::encode(out, value);
  return {out.data(), out.data() + out.size()};
}

/// Throws if the message has more in it than the value.
template <class T>
T decoded(std::span<const std::byte> bytes) {
  detail::reader in(bytes);
  T value = detail::decode<T>(in);
  if (in.left() != 0) throw std::logic_error("bytes are left over");
  return value;
}

template <class T>
T trip(const T& value) {
  return decoded<T>(encoded(value));
}

}  // namespace lenskit::tests
