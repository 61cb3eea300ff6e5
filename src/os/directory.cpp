#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/os/directory.hpp>

#include <dirent.h>

#include <memory>
#include <string_view>

namespace lenskit::detail {

std::optional<std::vector<std::string>> names_in(const std::filesystem::path& directory) {
  // Only its opening and closing are for the gate: a listing may take as long as a server likes.
  struct closing {
    void operator()(DIR* opened) const noexcept {
      const auto gate = descriptor_gate();
      ::closedir(opened);
    }
  };
  const auto open = [&directory] {
    const auto gate = descriptor_gate();
    return ::opendir(directory.c_str());
  };
  const std::unique_ptr<DIR, closing> opened(open());
  if (!opened) return std::nullopt;
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(opened.get())) {
    const std::string_view name(entry->d_name);
    if (name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

}  // namespace lenskit::detail
