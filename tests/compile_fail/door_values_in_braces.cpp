// expect: lenskit: map takes ranges, and values in braces are none
// alone
#include <lenskit/invoker.hpp>

#include <vector>

std::vector<int> run(lenskit::invoker<int, int (*)(const int&, int)>& inv) {
#ifdef CORRECTED
  return inv.map(std::vector{1, 2}).collect();
#else
  return inv.map({1, 2}).collect();
#endif
}
