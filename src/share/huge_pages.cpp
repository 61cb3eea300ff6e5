#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/os/text_file.hpp>
#include <lenskit/detail/share/huge_pages.hpp>

#include <linux/memfd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif

namespace lenskit::detail {
namespace {

constexpr std::uint64_t page_bytes = std::uint64_t{2} << 20;  // the size that x86-64 and ARM64 have in common

std::string contents(const char* path) { return read_text_file(path).value_or(""); }

std::uint64_t free_reserved_bytes() {
  return page_bytes *
         std::strtoull(contents("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").c_str(), nullptr, 10);
}

bool given_to_shared_memory() {
  const auto setting = contents("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
  for (const std::string_view enough : {"[always]", "[within_size]", "[advise]", "[force]"})
    if (setting.find(enough) != std::string::npos) return true;
  return false;
}

}  // namespace

huge_pages find_huge_pages(std::uint64_t bytes) noexcept {
  constexpr std::uint64_t worth_it = 4 * page_bytes;
  if (bytes < worth_it) return {};
  try {
    const auto rounded = (bytes + page_bytes - 1) / page_bytes * page_bytes;
    if (free_reserved_bytes() >= rounded) return {huge_page_kind::reserved, MFD_HUGETLB | MFD_HUGE_2MB, rounded};
    if (given_to_shared_memory()) return {huge_page_kind::transparent, 0, bytes};
  } catch (...) {
    // small pages need no memory for text
  }
  return {};
}

writable_mapping::writable_mapping(int fd, std::uint64_t bytes, huge_page_kind kind) noexcept
    : bytes_(static_cast<std::size_t>(bytes)), kind_(kind) {
  if (kind == huge_page_kind::reserved &&
      sys::retry([&]() noexcept { return sys::fallocate(fd, 0, static_cast<off_t>(bytes)); }) != 0)
    return;
  void* const where = sys::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (where == MAP_FAILED) return;
  data_ = static_cast<std::byte*>(where);
  if (kind == huge_page_kind::transparent) sys::madvise(where, bytes_, MADV_HUGEPAGE);
}

writable_mapping::~writable_mapping() {
  if (data_ != nullptr) sys::munmap(data_, bytes_);
}

void writable_mapping::put(std::uint64_t offset, std::span<const std::byte> bytes) const {
  if (bytes.empty()) return;
  if (kind_ == huge_page_kind::transparent) {
    constexpr std::uint64_t page = 4096;
    const auto begin = offset / page * page;
    const auto length = static_cast<std::size_t>(offset + bytes.size() - begin);
    if (sys::retry([&]() noexcept { return sys::madvise(data_ + begin, length, MADV_POPULATE_WRITE); }) != 0)
      throw no_huge_pages();
  }
  std::memcpy(data_ + offset, bytes.data(), bytes.size());
}

}  // namespace lenskit::detail
