// Huge pages: a model in them is filled, read for the first time and searched several times faster.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lenskit::detail {

enum class huge_page_kind {
  none,
  reserved,     ///< the administrator put pages aside (hugetlb)
  transparent,  ///< the kernel gives them to shared memory that asks (shmem_enabled)
};

struct huge_pages {
  huge_page_kind kind = huge_page_kind::none;
  unsigned memfd_flags = 0;
  std::uint64_t rounded = 0;  ///< the size of the segment
};

/// What is worth trying for a segment of `bytes`.
[[nodiscard]] huge_pages find_huge_pages(std::uint64_t bytes) noexcept;

/// There were fewer huge pages than it looked like.
struct no_huge_pages {};

/// A segment mapped for writing, for as long as it is filled.
class writable_mapping {
 public:
  /// Empty if it cannot be mapped, or the room cannot be had.
  writable_mapping(int fd, std::uint64_t bytes, huge_page_kind kind) noexcept;
  ~writable_mapping();
  writable_mapping(const writable_mapping&) = delete;
  writable_mapping& operator=(const writable_mapping&) = delete;
  explicit operator bool() const noexcept { return data_ != nullptr; }

  /// Throws no_huge_pages when the pages cannot be had: a store into them would be SIGBUS.
  void put(std::uint64_t offset, std::span<const std::byte> bytes) const;

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_;
  huge_page_kind kind_;
};

}  // namespace lenskit::detail
