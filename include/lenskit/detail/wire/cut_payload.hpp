// A payload for which there is no memory: it is read to its end all the same, since what follows it is to be heard.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace lenskit::detail {

/// Keeps the beginning of a payload and sums all of it.
class cut_payload {
 public:
  static constexpr std::size_t kept_bytes = 64;

  explicit cut_payload(std::uint64_t length) noexcept : length_(length) {}

  /// Takes what has arrived, up to the payload's end; returns how many of these bytes were the payload's.
  std::size_t take(std::span<const std::byte> arrived) noexcept;
  [[nodiscard]] bool complete() const noexcept { return taken_ == length_; }
  /// Of what was taken.
  [[nodiscard]] std::uint32_t check() const noexcept { return check_; }
  [[nodiscard]] std::span<const std::byte> beginning() const noexcept;

 private:
  std::uint64_t length_;
  std::uint64_t taken_ = 0;
  std::uint32_t check_ = 0;
  std::array<std::byte, kept_bytes> kept_{};
};

}  // namespace lenskit::detail
