#include <lenskit/detail/os/lock_probes.hpp>

#include <dlfcn.h>
#include <iconv.h>
#include <link.h>
#include <locale.h>
#include <pwd.h>
#include <stdlib.h>
#include <time.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <locale>

namespace lenskit::detail {
namespace {

// Also that of gmtime_r, mktime and strftime.
void try_time_zone() noexcept {
  const time_t now = 1;
  tm parts{};
  ::localtime_r(&now, &parts);
}

void try_environment() noexcept { ::unsetenv("LENSKIT_NO_SUCH_VARIABLE"); }

// Root is in the first file that is looked at, whatever else a system asks about its users.
void try_user_names() noexcept { ::getpwuid(0); }

// What is loaded already is only counted.
void try_linker() noexcept {
  if (void* const found = ::dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD)) ::dlclose(found);
  ::dl_iterate_phdr([](dl_phdr_info*, std::size_t, void*) { return 1; }, nullptr);
}

void try_conversion() noexcept {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): iconv's own way to say that it failed
  if (auto* const found = ::iconv_open("UTF-8", "UTF-8"); found != reinterpret_cast<iconv_t>(-1)) ::iconv_close(found);
}

void try_locale() noexcept {
  if (auto* const copy = ::duplocale(LC_GLOBAL_LOCALE)) ::freelocale(copy);
  const std::locale global;
  static_cast<void>(std::strerror(ENOENT));
}

// Its state stays as it was.
void try_random_numbers() noexcept {
  std::array<char, 8> other{};
  if (char* const before = ::initstate(1, other.data(), other.size())) ::setstate(before);
}

}  // namespace

void try_inherited_locks() noexcept {
  try_time_zone();
  try_environment();
  try_linker();
  try_conversion();
  try_locale();
  try_random_numbers();
  try_user_names();
}

}  // namespace lenskit::detail
