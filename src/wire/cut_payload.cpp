#include <lenskit/detail/wire/crc32c.hpp>
#include <lenskit/detail/wire/cut_payload.hpp>

#include <algorithm>

namespace lenskit::detail {

std::size_t cut_payload::take(std::span<const std::byte> arrived) noexcept {
  const auto own = arrived.first(static_cast<std::size_t>(std::min<std::uint64_t>(arrived.size(), length_ - taken_)));
  check_ = crc32c(own.data(), own.size(), check_);
  if (taken_ < kept_bytes) {
    const auto at = static_cast<std::size_t>(taken_);
    std::copy_n(own.begin(), std::min(own.size(), kept_bytes - at), kept_.begin() + static_cast<std::ptrdiff_t>(at));
  }
  taken_ += own.size();
  return own.size();
}

std::span<const std::byte> cut_payload::beginning() const noexcept {
  return std::span(kept_).first(static_cast<std::size_t>(std::min<std::uint64_t>(taken_, kept_bytes)));
}

}  // namespace lenskit::detail
