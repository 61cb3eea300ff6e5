// expect: lenskit: the function returns a pointer, reference or view
// alone
#include <lenskit/invoker.hpp>

#include <lenskit/run_sp.hpp>

int run(const int& number) {
#ifdef CORRECTED
  return lenskit::run_sp([&] { return number; });
#else
  return lenskit::run_sp([&] { return &number; });
#endif
}
