// expect: lenskit: map takes ranges, at least one
// alone
#include <lenskit/invoker.hpp>

#include <vector>

void run(lenskit::invoker<int, int (*)(const int&, int)>& inv) {
#ifdef CORRECTED
  for (int x : inv.map(std::vector{5})) static_cast<void>(x);
#else
  for (int x : inv.map(5)) static_cast<void>(x);
#endif
}
