#include <lenskit/detail/os/signals.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/share/huge_pages.hpp>
#include <lenskit/detail/share/memory_room.hpp>
#include <lenskit/detail/share/model_writer.hpp>
#include <lenskit/detail/share/segment.hpp>
#include <lenskit/error.hpp>

#include <linux/magic.h>
#include <linux/memfd.h>

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <utility>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // Linux 6.3
#endif

namespace lenskit::detail {
namespace {

constexpr int required_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
constexpr const char* memory = "shared memory";

[[noreturn]] void fail(const char* what, int error = errno) {
  throw persist_error(fmt::format("cannot {}: {}", what, std::strerror(error)));
}

// Older kernels do not know that a segment may be declared not executable, newer ones warn when it is not declared.
int create(unsigned flags) {
  const int fd = sys::memfd_create("lenskit-model", MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | flags);
  if (fd >= 0 || errno != EINVAL) return fd;
  return sys::memfd_create("lenskit-model", MFD_ALLOW_SEALING | flags);
}

descriptor create_sized(unsigned flags, std::uint64_t bytes) {
  const auto gate = descriptor_gate();
  descriptor made(create(flags));
  if (!made) return made;
  if (sys::fchmod(made.get(), S_IRUSR | S_IWUSR) != 0) fail("restrict the access to a model");
  if (sys::retry([&]() noexcept { return sys::ftruncate(made.get(), static_cast<off_t>(bytes)); }) != 0)
    fail_room("size", made.get(), bytes, memory, errno);
  return made;
}

// Writing pages that exist needs no room: so it is the write, and not a later access, that reports that there is none.
void fill_small_pages(const model_parts& parts, int fd) {
  // A thread alone gets as many pages from the kernel in a second as two get together.
  write_model(parts, write_to(fd, parts.header().total_bytes, memory), writers::one);
}

// Through a mapping, since huge pages are not had by writing; false if there is not enough of them.
bool fill_huge_pages(const model_parts& parts, int fd, std::uint64_t bytes, huge_page_kind kind) {
  try {
    const writable_mapping target(fd, bytes, kind);
    if (!target) return false;
    write_model(parts, [&](std::uint64_t offset, std::span<const std::byte> run) { target.put(offset, run); });
    return true;
  } catch (const no_huge_pages&) {
    return false;
  }
}

descriptor make_filled(const model_parts& parts) {
  const auto bytes = parts.header().total_bytes;
  if (const auto huge = find_huge_pages(bytes); huge.kind != huge_page_kind::none) {
    auto made = create_sized(huge.memfd_flags, huge.rounded);
    if (made && fill_huge_pages(parts, made.get(), huge.rounded, huge.kind)) return made;
  }
  auto made = create_sized(0, bytes);
  if (!made) fail("create a segment of shared memory");
  fill_small_pages(parts, made.get());
  return made;
}

}  // namespace

constinit const storage segment_storage{
    .takes_place = false,
    .lasts = false,
    .made_here = model_origin::own_memory,
    .taken = model_origin::sealed_memory,
    .write = [](const model_parts& parts, const file_choice&) { return written_model{make_memory_segment(parts)}; },
    .accept = &verify_seals,
    .remove = nullptr};

descriptor make_memory_segment(const model_parts& parts) {
  constexpr std::uint64_t small = std::uint64_t{1} << 20;  // not worth reading the limits for
  if (parts.header().total_bytes > small) check_memory_room(parts.header().total_bytes);
  const file_limit_shield shield;  // a segment counts as a file
  auto made = make_filled(parts);
  const int seals = required_seals | F_SEAL_SEAL;
  if (sys::retry([&]() noexcept { return sys::fcntl(made.get(), F_ADD_SEALS, seals); }) != 0) fail("seal a model");
  return made;
}

void verify_seals(int fd) {
  const int seals = sys::fcntl(fd, F_GET_SEALS);
  if (seals < 0) fail("load model: it is not in memory that can be sealed");
  if ((seals & required_seals) != required_seals)
    throw persist_error("cannot load model: its memory is not sealed, so that others could change it");
}

std::uint64_t size_of(int fd) {
  struct stat status {};
  if (sys::fstat(fd, status) != 0) fail("find out the size of a model");
  return static_cast<std::uint64_t>(status.st_size);
}

void fail_room(const char* verb, int fd, std::uint64_t needed, const std::string& where, int error) {
  if (error != ENOSPC && error != EDQUOT && error != EFBIG && error != ENOMEM)
    throw persist_error(fmt::format("cannot {} a model in {}: {}", verb, where, std::strerror(error)));
  if (const auto limit = sys::file_size_limit(); error == EFBIG && limit < needed)
    throw no_space(needed, limit,
                   fmt::format("{}, by the limit on the size of a file (RLIMIT_FSIZE, ulimit -f)", where));
  std::uint64_t available = 0;
  struct statfs fs {};
  if (sys::fstatfs(fd, fs) == 0 && fs.f_blocks > 0) {
    available = static_cast<std::uint64_t>(fs.f_bavail) * static_cast<std::uint64_t>(fs.f_bsize);
    struct stat status {};
    constexpr std::uint64_t sector = 512;  // what st_blocks counts in
    if (sys::fstat(fd, status) == 0) available += static_cast<std::uint64_t>(status.st_blocks) * sector;
  } else if (const auto room = find_memory_room()) {
    available = room->bytes;
  }
  throw no_space(needed, available, where);
}

}  // namespace lenskit::detail
