// Loads, uses and unloads the plugin that its argument names, and uses pools of its own in between: status 0 if all of
// it works.
#include <lenskit/parallel.hpp>

#include <dlfcn.h>
#include <unistd.h>

#include <vector>

namespace {

int use(lenskit::engine engine) {
  lenskit::invoker inv(0, [](int, int x) { return x; }, {.n_jobs = 2, .engine = engine});
  int sum = 0;
  for (const int each : inv.map(std::vector{1, 2, 3})) sum += each;
  return sum;
}

}  // namespace

int main(int count, char** arguments) {
  constexpr unsigned patience_seconds = 20;
  alarm(patience_seconds);
  if (count < 2) return 2;
  for (int round = 0; round < 3; ++round) {
    void* const plugin = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (plugin == nullptr) return 3;
    const auto use_plugin = reinterpret_cast<int (*)()>(dlsym(plugin, "use_plugin"));
    constexpr int expected = 9;
    if (use_plugin == nullptr || use_plugin() != expected) return 4;
    if (dlclose(plugin) != 0) return 5;
    if (dlopen(arguments[1], RTLD_NOW | RTLD_NOLOAD) != nullptr) return 77;  // it stays loaded here
    for (const auto engine : {lenskit::engine::processes, lenskit::engine::in_process, lenskit::engine::threads}) {
      if (use(engine) != 6) return 6;
    }
  }
  return 0;
}
