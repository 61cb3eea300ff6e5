// expect: lenskit: a time limit is a duration
// alone
#include <lenskit/invoker.hpp>

#include <chrono>

void run() {
#ifdef CORRECTED
  lenskit::invoker inv(0, [](const int&, int x) { return x; }, {.n_jobs = 2, .task_timeout = std::chrono::seconds(5)});
#else
  lenskit::invoker inv(0, [](const int&, int x) { return x; }, {.n_jobs = 2, .task_timeout = 5});
#endif
}
