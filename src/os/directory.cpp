#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/os/directory.hpp>

#include <dirent.h>

#include <memory>
#include <string_view>

namespace lenskit::detail {

std::optional<std::vector<std::string>> names_in(const std::filesystem::path& directory) {
  struct closing {
    void operator()(DIR* opened) const noexcept { ::closedir(opened); }
  };
  const auto gate = descriptor_gate();
  const std::unique_ptr<DIR, closing> opened(::opendir(directory.c_str()));
  if (!opened) return std::nullopt;
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(opened.get())) {
    const std::string_view name(entry->d_name);
    if (name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

}  // namespace lenskit::detail
