#include <lenskit/detail/os/signals.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/share/memory_room.hpp>
#include <lenskit/detail/share/model_directory.hpp>
#include <lenskit/detail/share/model_file.hpp>
#include <lenskit/detail/share/model_writer.hpp>
#include <lenskit/detail/share/segment.hpp>
#include <lenskit/error.hpp>

#include <linux/magic.h>

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace lenskit::detail {
namespace {

// A temporary directory in memory takes the same memory as a segment does.
void check_room(int file, std::uint64_t bytes) {
  struct statfs fs {};
  constexpr std::uint64_t small = std::uint64_t{1} << 20;
  if (bytes > small && sys::fstatfs(file, fs) == 0 && fs.f_type == TMPFS_MAGIC) check_memory_room(bytes);
}

// All of it, before a byte is written: so a full disk is an exception here and not SIGBUS later (failure S3).
void allocate(int file, std::uint64_t bytes, const std::string& where) {
  if (sys::retry([&]() noexcept { return sys::fallocate(file, 0, static_cast<off_t>(bytes)); }) == 0) return;
  if (errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS) fail_room("make room for", file, bytes, where, errno);
  // The file system cannot: every byte up to `bytes` is written anyway but the gaps between arrays, so only the size
  // has to be set for them, and they are part of pages that are written.
  if (sys::retry([&]() noexcept { return sys::ftruncate(file, static_cast<off_t>(bytes)); }) != 0)
    fail_room("make room for", file, bytes, where, errno);
}

// Takes back the name of a file that did not get finished.
class unfinished_name {
 public:
  unfinished_name(const model_directory& directory, std::string name) : directory_(directory), name_(std::move(name)) {}
  ~unfinished_name() {
    if (!name_.empty()) directory_.remove(name_);
  }
  unfinished_name(const unfinished_name&) = delete;
  unfinished_name& operator=(const unfinished_name&) = delete;
  void finished() noexcept { name_.clear(); }

 private:
  const model_directory& directory_;
  std::string name_;
};

written_model fill(const model_parts& parts, const file_choice& choice, const model_directory& directory) {
  const auto file = directory.create();
  unfinished_name early(directory, file.named);
  const auto bytes = parts.header().total_bytes;
  check_room(file.file.get(), bytes);
  allocate(file.file.get(), bytes, directory.path().string());
  write_model(parts, write_to(file.file.get(), bytes, directory.path().string()));
  written_model made{directory.reopen_for_reading(file), {}, false};
  if (choice.nameless) return made;  // and takes a name back that the file system made us give

  const bool durable = !choice.file.empty();
  if (durable && sys::retry([&]() noexcept { return sys::fsync(file.file.get()); }) != 0)
    throw persist_error(fmt::format("cannot write {} to disk: {}", choice.file.string(), std::strerror(errno)));
  const auto name = directory.name(file);
  early.finished();
  unfinished_name late(directory, name);
  made.path = directory.path() / name;
  if (durable) {
    directory.rename(name, choice.file.filename().string());
    directory.sync();
    made.path = directory.path() / choice.file.filename();
    made.kept = true;
  }
  late.finished();
  return made;
}

}  // namespace

constinit const storage file_storage{.takes_place = true,
                                     .lasts = true,
                                     .made_here = model_origin::file,
                                     .taken = model_origin::file,
                                     .write = &make_model_file,
                                     .accept = [](int) {},  // anybody may have touched it: its checks say more
                                     .remove = &remove_model_file};

written_model make_model_file(const model_parts& parts, const file_choice& choice) {
  if (!choice.file.empty() && !choice.file.has_filename())
    throw persist_error(fmt::format("cannot write a model to {}: it names a directory", choice.file.string()));
  auto where = choice.directory;
  if (!choice.file.empty()) where = std::filesystem::absolute(choice.file).parent_path();
  if (where.empty()) where = default_model_directory();
  const model_directory directory(where);
  directory.sweep();
  const file_limit_shield shield;
  return fill(parts, choice, directory);
}

void remove_model_file(const std::filesystem::path& path, int file) noexcept {
  struct stat ours {};
  struct stat named {};
  if (sys::fstat(file, ours) != 0) return;
  const auto gate = descriptor_gate();
  const descriptor found(sys::retry([&]() noexcept { return sys::open(path.c_str(), O_PATH | O_NOFOLLOW); }));
  if (!found || sys::fstat(found.get(), named) != 0) return;
  if (ours.st_dev == named.st_dev && ours.st_ino == named.st_ino)
    sys::retry([&]() noexcept { return sys::unlink(path.c_str()); });
}

}  // namespace lenskit::detail
