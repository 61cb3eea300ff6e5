#include <lenskit/detail/log/log_line.hpp>
#include <lenskit/detail/os/cgroup.hpp>
#include <lenskit/detail/os/text_file.hpp>
#include <lenskit/detail/share/memory_room.hpp>
#include <lenskit/error.hpp>

#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <sstream>
#include <string_view>
#include <utility>

namespace lenskit::detail {
namespace {

// The sum of the values behind those of `keys` that the file has, one "key value" a line.
std::optional<std::uint64_t> sum_of(const std::filesystem::path& file, std::initializer_list<std::string_view> keys) {
  std::istringstream in(read_text_file(file).value_or(""));
  std::optional<std::uint64_t> sum;
  std::string line_end;
  std::string key;
  std::uint64_t value = 0;
  while (in >> key >> value) {
    for (const auto wanted : keys)
      if (key == wanted) sum = sum.value_or(0) + value;
    std::getline(in, line_end);
  }
  return sum;
}

std::optional<std::uint64_t> number_in(const std::filesystem::path& file) {
  std::istringstream in(read_text_file(file).value_or(""));
  std::uint64_t value = 0;
  if (in >> value) return value;
  return std::nullopt;  // "max", or no such file
}

std::uint64_t left(std::uint64_t limit, std::uint64_t used) { return limit > used ? limit - used : 0; }

}  // namespace

std::optional<memory_room> find_memory_room(const std::filesystem::path& root) {
  std::optional<memory_room> least;
  const auto consider = [&](std::uint64_t bytes, std::string where) {
    if (!least || bytes < least->bytes) least = memory_room{static_cast<std::size_t>(bytes), std::move(where)};
  };
  constexpr std::uint64_t kibibyte = 1024;
  if (const auto free = sum_of(root / "proc/meminfo", {"MemAvailable:", "SwapFree:"}))
    consider(*free * kibibyte, "the memory of this machine");
  for (const auto& group : cgroup_directories(root, "memory")) {
    for (const auto& [limit_file, used_file] :
         {std::pair{"memory.max", "memory.current"}, std::pair{"memory.limit_in_bytes", "memory.usage_in_bytes"}}) {
      const auto limit = number_in(group / limit_file);
      const auto used = number_in(group / used_file);
      if (!limit || !used) continue;
      // Cached files are given up for a model when it needs their room.
      const auto cached = sum_of(group / "memory.stat", {"inactive_file"}).value_or(0);
      consider(left(*limit, left(*used, cached)), fmt::format("the memory limit of {}", group.string()));
    }
  }
  return least;
}

void check_memory_room(std::size_t bytes, const std::filesystem::path& root) {
  const auto room = find_memory_room(root);
  if (!room) return;
  if (bytes > room->bytes) throw no_space(bytes, room->bytes, room->where);
  constexpr std::size_t worth_a_warning = std::size_t{64} << 20;
  if (bytes > worth_a_warning && bytes > room->bytes / 10 * 9)
    log_warning(fmt::format("a model of {} bytes takes nearly all of the {} that are left of {}", bytes, room->bytes,
                            room->where));
}

}  // namespace lenskit::detail
