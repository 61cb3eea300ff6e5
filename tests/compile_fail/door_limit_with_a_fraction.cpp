// expect: lenskit: a time limit is a whole number of units
// alone
#include <lenskit/run_sp.hpp>

#include <chrono>

using namespace std::chrono_literals;

void run() {
#ifdef CORRECTED
  lenskit::run_sp({.timeout = 1500ms}, [] { return 1; });
#else
  lenskit::run_sp({.timeout = 1.5s}, [] { return 1; });
#endif
}
