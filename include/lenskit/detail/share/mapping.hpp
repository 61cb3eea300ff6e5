// A stored model as memory: mapped read-only, for as long as anybody uses it.
#pragma once

#include <boost/interprocess/mapped_region.hpp>

#include <cstddef>
#include <span>

namespace lenskit::detail {

/// The first bytes of a descriptor, mapped read-only and shared. The mapping outlives the descriptor. Move-only.
class mapping {
 public:
  mapping() noexcept = default;
  /// Throws persist_error.
  mapping(int fd, std::size_t bytes);

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return {static_cast<const std::byte*>(region_.get_address()), region_.get_size()};
  }

 private:
  boost::interprocess::mapped_region region_;
};

}  // namespace lenskit::detail
