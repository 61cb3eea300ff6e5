// expect: lenskit: the function does not take the model
// alone
#include <lenskit/invoker.hpp>

#include <vector>

void run(const std::vector<int>& users) {
#ifdef CORRECTED
  lenskit::invoker inv(
      0, [](const int&, int x) { return x; }, 2);
#else
  lenskit::invoker inv(
      0, [](int x) { return x; }, 2);
#endif
  for (int x : inv.map(users)) static_cast<void>(x);
}
