// expect: lenskit: the function cannot be called with the model and one element of each range
// alone
#include <lenskit/invoker.hpp>

#include <vector>

std::vector<int> run(const std::vector<int>& users) {
  lenskit::invoker inv(
      0, [](const int&, int x, int y) { return x + y; }, 2);
#ifdef CORRECTED
  return inv.map(users, users).collect();
#else
  return inv.map(users).collect();
#endif
}
