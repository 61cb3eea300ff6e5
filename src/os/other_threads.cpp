#include <lenskit/detail/os/directory.hpp>
#include <lenskit/detail/os/other_threads.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/os/text_file.hpp>

#include <sys/prctl.h>

#include <filesystem>

namespace lenskit::detail {
namespace {

constexpr const char* name_of_ours = "lenskit-thread";  // the kernel keeps fifteen letters

}  // namespace

std::vector<std::string> names_of_other_threads() {
  std::vector<std::string> names;
  const std::string self = std::to_string(sys::gettid());
  const std::filesystem::path tasks("/proc/self/task");
  for (const auto& task : names_in(tasks).value_or(std::vector<std::string>())) {
    if (task == self) continue;
    auto name = read_text_file(tasks / task / "comm").value_or("");
    if (!name.empty() && name.back() == '\n') name.pop_back();
    if (!name.empty() && name != name_of_ours) names.push_back(std::move(name));
  }
  return names;
}

void name_thread_of_library() noexcept { sys::prctl(PR_SET_NAME, reinterpret_cast<unsigned long>(name_of_ours)); }

}  // namespace lenskit::detail
