#include <lenskit/detail/os/directory.hpp>
#include <lenskit/detail/os/environment.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/share/model_directory.hpp>
#include <lenskit/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <random>
#include <system_error>
#include <utility>
#include <vector>

namespace lenskit::detail {
namespace {

constexpr std::string_view prefix = "lenskit-";
constexpr std::string_view suffix = ".model";
constexpr std::size_t random_digits = 32;
constexpr int attempts = 100;
constexpr mode_t owner_only = S_IRUSR | S_IWUSR;

[[noreturn]] void fail(const char* verb, const std::filesystem::path& path, int error = errno) {
  throw persist_error(fmt::format("cannot {} {}: {}", verb, path.string(), std::strerror(error)));
}

std::string random_name() {
  std::random_device random;
  return fmt::format("{}{:08x}{:08x}{:08x}{:08x}{}", prefix, random(), random(), random(), random(), suffix);
}

std::atomic<name_source> names{random_name};

bool is_our_name(std::string_view name) {
  if (name.size() != prefix.size() + random_digits + suffix.size()) return false;
  const auto digits = name.substr(prefix.size(), random_digits);
  return name.starts_with(prefix) && name.ends_with(suffix) &&
         digits.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

descriptor open_listed(const std::filesystem::path& path, int flags) {
  const auto gate = descriptor_gate();
  return descriptor(sys::retry([&]() noexcept { return sys::open(path.c_str(), flags); }));
}
descriptor open_listed(int directory, const char* name, int flags, mode_t mode = 0) {
  const auto gate = descriptor_gate();
  return descriptor(sys::retry([&]() noexcept { return sys::openat(directory, name, flags, mode); }));
}

// The only path to a file without a name.
std::string path_by_number(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

bool same_file(int a, int b) noexcept {
  struct stat first {};
  struct stat second {};
  return sys::fstat(a, first) == 0 && sys::fstat(b, second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

// Not where /proc is not mounted, or is another PID namespace's.
bool reachable_by_number(int fd) {
  const auto found = open_listed(path_by_number(fd), O_PATH);
  return found && same_file(found.get(), fd);
}

bool trusted(uid_t owner) noexcept { return owner == 0 || owner == sys::geteuid(); }

// A symbolic link is followed only if nobody but this user and the administrator can have planted it.
descriptor open_directory(const std::filesystem::path& path) {
  auto directory = open_listed(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (directory) return directory;
  if (errno != ELOOP && errno != ENOTDIR) fail("open directory", path);
  const auto link = open_listed(path, O_PATH | O_NOFOLLOW);
  struct stat status {};
  if (!link || sys::fstat(link.get(), status) != 0) fail("open directory", path);
  if (S_ISLNK(status.st_mode) && !trusted(status.st_uid))
    throw persist_error(fmt::format("cannot use directory {}: it is a symbolic link of another user", path.string()));
  directory = open_listed(path, O_RDONLY | O_DIRECTORY);
  if (!directory) fail("open directory", path);
  return directory;
}

void require_safe(int directory, const std::filesystem::path& path) {
  struct stat status {};
  if (sys::fstat(directory, status) != 0) fail("inspect directory", path);
  const bool sticky = (status.st_mode & S_ISVTX) != 0;
  if ((status.st_mode & S_IWOTH) != 0 && !sticky)
    throw persist_error(fmt::format("cannot use directory {}: everybody may replace files in it (mode {:o})",
                                    path.string(), status.st_mode & 07777U));
  if (!trusted(status.st_uid) && !sticky)
    throw persist_error(fmt::format("cannot use directory {}: it belongs to another user", path.string()));
}

}  // namespace

model_directory::model_directory(const std::filesystem::path& path)
    : path_(std::filesystem::absolute(path)), directory_(open_directory(path_)) {
  require_safe(directory_.get(), path_);
}

model_directory::new_file model_directory::create() const {
  new_file made{open_listed(directory_.get(), ".", O_TMPFILE | O_RDWR, owner_only), {}};
  if (made.file && !reachable_by_number(made.file.get())) made.file.reset();
  // Each file system says in its own way that it has no nameless files; a real obstacle shows again here.
  for (int i = 0; !made.file && i < attempts; ++i) made = create_named();
  if (!made.file) fail("create a file in", path_, EEXIST);
  hold_alive(made.file.get());
  if (sys::fchmod(made.file.get(), owner_only) != 0) {
    const int error = errno;
    if (!made.named.empty()) remove(made.named);
    fail("restrict the access to a file in", path_, error);
  }
  return made;
}

model_directory::new_file model_directory::create_named() const {
  auto name = names.load()();
  auto file = open_listed(directory_.get(), name.c_str(), O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR, owner_only);
  if (!file && errno != EEXIST) fail("create a file in", path_);
  if (!file) return {};
  hold_alive(file.get());
  struct stat status {};
  if (sys::fstat(file.get(), status) != 0 || status.st_nlink == 0) return {};  // swept before it was held
  return {std::move(file), std::move(name)};
}

descriptor model_directory::reopen_for_reading(const new_file& file) const {
  auto readable = open_listed(path_by_number(file.file.get()), O_RDONLY);
  if (!readable && !file.named.empty()) {
    readable = open_listed(directory_.get(), file.named.c_str(), O_RDONLY | O_NOFOLLOW);
    if (readable && !same_file(readable.get(), file.file.get())) readable.reset();
  }
  if (!readable) fail("reopen the file of a model in", path_);
  hold_alive(readable.get());
  return readable;
}

std::string model_directory::name(const new_file& file) const {
  if (!file.named.empty()) return file.named;
  const auto open_file = path_by_number(file.file.get());
  for (int i = 0; i < attempts; ++i) {
    auto name = names.load()();
    if (sys::linkat(AT_FDCWD, open_file.c_str(), directory_.get(), name.c_str(), AT_SYMLINK_FOLLOW) == 0) return name;
    if (errno != EEXIST && errno != EINTR) break;
  }
  fail("name a file in", path_);
}

void model_directory::rename(const std::string& from, const std::string& to) const {
  if (sys::renameat(directory_.get(), from.c_str(), to.c_str()) != 0) fail("replace", path_ / to);
}

void model_directory::remove(const std::string& name) const noexcept {
  sys::retry([&]() noexcept { return sys::unlinkat(directory_.get(), name.c_str()); });
}

void model_directory::sync() const noexcept {
  sys::retry([&]() noexcept { return sys::fsync(directory_.get()); });
}

void model_directory::sweep() const noexcept {
  try {
    for (const auto& name : names_in(path_).value_or(std::vector<std::string>())) {
      if (!is_our_name(name)) continue;
      const auto file = open_listed(directory_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      struct stat status {};
      if (!file || sys::fstat(file.get(), status) != 0) continue;
      if (!S_ISREG(status.st_mode) || status.st_uid != sys::geteuid()) continue;
      if (sys::flock(file.get(), LOCK_EX | LOCK_NB) == 0) remove(name);
    }
  } catch (const std::exception&) {
    // what cannot be listed is not ours to clean
  }
}

void hold_alive(int fd) noexcept {
  sys::retry([&]() noexcept { return sys::flock(fd, LOCK_SH); });
}

void use_names(name_source source) noexcept { names = source != nullptr ? source : random_name; }

std::optional<std::filesystem::path> chosen_model_directory() { return environment_variable("LK_TEMP_DIR"); }

std::filesystem::path default_model_directory() {
  if (const auto chosen = chosen_model_directory()) return *chosen;
  std::error_code error;
  auto path = std::filesystem::temp_directory_path(error);
  if (error) throw persist_error("cannot find the system's directory for temporary files: " + error.message());
  return path;
}

}  // namespace lenskit::detail
