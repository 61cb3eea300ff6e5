// How many workers and threads: lenskit.toml, lenskit.local.toml for this machine, LK_* variables above both.
#include <lenskit/parallel.hpp>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

namespace fs = std::filesystem;

int main() {
  const fs::path project = fs::temp_directory_path() / "lenskit_settings_example";
  fs::create_directories(project / "src");
  std::ofstream(project / "lenskit.toml") << "[parallel]\nnum_procs = 3\nnum_threads = 2\n[random]\nseed = 20260101\n";
  std::ofstream(project / "lenskit.local.toml") << "[parallel]\nnum_procs = 2\n";
  ::setenv("LK_NUM_BACKEND_THREADS", "1", 1);

  // Found from any folder below; the files are read when the program asks for it, not by themselves.
  const auto root = lenskit::locate_configuration_root(project / "src");
  const lenskit::parallel_settings& settings = lenskit::configure(*root);
  fs::remove_all(project);

  std::printf("%d processes, from the local file\n", settings.num_procs);
  std::printf("%d threads, from the shared file\n", settings.num_threads);
  std::printf("%d backend thread, from the environment\n", settings.num_backend_threads);
  std::printf("an invoker would have %d workers\n", lenskit::proc_count({.max_default = 4}));

  // A worker is told that it has one process and one thread, so that nothing multiplies.
  auto settings_there = [](const int&, int) {
    return std::pair(lenskit::parallel_config().num_procs, lenskit::parallel_config().num_threads);
  };
  const int model = 0;
  const auto there = lenskit::invoker(model, settings_there).map(std::vector{0}).collect()[0];
  std::printf("in a worker: %d process, %d thread\n", there.first, there.second);
}

// Output:
// 2 processes, from the local file
// 2 threads, from the shared file
// 1 backend thread, from the environment
// an invoker would have 2 workers
// in a worker: 1 process, 1 thread
