// Where an archive keeps arrays out of band. A message has no such place; the mapping of a model does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace lenskit::detail {

/// Takes arrays out of band, while a model is written into a mapping.
struct array_store {
  virtual ~array_store() = default;
  virtual std::uint64_t put(const void* data, std::size_t bytes, std::size_t align) = 0;  // a token for `get`
  virtual void keep(std::shared_ptr<const void>) {}  // what owns an array that was put: it may be a temporary
};

/// Finds them again, while a model is read from its mapping.
struct array_source {
  virtual ~array_source() = default;
  virtual std::span<const std::byte> get(std::uint64_t token, std::size_t bytes) = 0;
  virtual std::shared_ptr<const void> keeper() = 0;  // the mapping lives as long as this does
};

}  // namespace lenskit::detail
