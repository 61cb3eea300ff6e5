// A plugin that uses a pool of its own.
#include <lenskit/parallel.hpp>

#include <vector>

extern "C" int use_plugin() {
  lenskit::invoker inv(1, [](const int& model, int x) { return model + x; },
                       {.n_jobs = 2, .engine = lenskit::engine::processes});
  int sum = 0;
  for (const int each : inv.map(std::vector{1, 2, 3})) sum += each;
  return sum;
}
