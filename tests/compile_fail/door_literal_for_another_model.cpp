// expect: lenskit: the function cannot be called with the model and one element of each range
// alone
#include <lenskit/invoker.hpp>

#include <string>
#include <vector>

std::vector<int> run(const std::vector<int>& users) {
#ifdef CORRECTED
  lenskit::invoker inv(
      "blob", [](const std::string& m, int x) { return static_cast<int>(m.size()) + x; }, 2);
#else
  lenskit::invoker inv(
      "blob", [](const std::vector<int>& m, int x) { return static_cast<int>(m.size()) + x; }, 2);
#endif
  return inv.map(users).collect();
}
