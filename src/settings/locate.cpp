#include <lenskit/settings.hpp>

namespace lenskit {

std::optional<std::filesystem::path> locate_configuration_root(std::filesystem::path cwd) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  fs::path dir = fs::weakly_canonical(cwd);
  // A relative path of which nothing exists stays relative.
  if (dir.is_relative()) dir = fs::absolute(dir).lexically_normal();
  for (;; dir = dir.parent_path()) {
    if (fs::exists(dir / "lenskit.toml", ignored)) return dir;
    if (fs::exists(dir / "pyproject.toml", ignored) || fs::exists(dir / ".git", ignored)) return std::nullopt;
    if (dir == dir.root_path()) return std::nullopt;
  }
}

}  // namespace lenskit
