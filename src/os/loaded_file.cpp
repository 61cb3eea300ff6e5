#include <lenskit/detail/os/loaded_file.hpp>

#include <dlfcn.h>

#include <bit>

namespace lenskit::detail {

std::optional<loaded_file> find_loaded_file(std::uint64_t address) {
  Dl_info found{};
  if (::dladdr(std::bit_cast<const void*>(address), &found) == 0 || found.dli_fname == nullptr) return std::nullopt;
  return loaded_file{found.dli_fname, std::bit_cast<std::uint64_t>(found.dli_fbase)};
}

}  // namespace lenskit::detail
