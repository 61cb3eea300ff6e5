#include <lenskit/settings.hpp>

namespace lenskit {

std::optional<std::filesystem::path> locate_configuration_root(std::filesystem::path cwd) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  cwd = fs::weakly_canonical(cwd);
  // A relative path of which nothing exists stays relative.
  if (cwd.is_relative()) cwd = fs::absolute(cwd).lexically_normal();
  for (;; cwd = cwd.parent_path()) {
    if (fs::exists(cwd / "lenskit.toml", ignored)) return cwd;
    if (fs::exists(cwd / "pyproject.toml", ignored) || fs::exists(cwd / ".git", ignored)) return std::nullopt;
    if (cwd == cwd.root_path()) return std::nullopt;
  }
}

}  // namespace lenskit
