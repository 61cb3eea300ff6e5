// expect: lenskit: map takes ranges, at least one
// alone
#include <lenskit/invoker.hpp>

#include <vector>

std::vector<int> run(lenskit::invoker<int, int (*)(const int&, int)>& inv, const std::vector<int>& users) {
#ifdef CORRECTED
  return inv.map(users).collect();
#else
  static_cast<void>(users);
  return inv.map().collect();
#endif
}
