// expect: lenskit: the function takes the model as something that it may change
// alone
#include <lenskit/invoker.hpp>

#include <vector>

struct model {
  int factor = 2;
};
#ifdef CORRECTED
int scale(const model& m, int x) { return m.factor * x; }
#else
int scale(model& m, int x) { return m.factor * x; }
#endif

void run(const std::vector<int>& users) {
  lenskit::invoker inv(model(), scale, 2);
  for (int x : inv.map(users)) static_cast<void>(x);
}
