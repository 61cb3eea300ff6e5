// expect: lenskit: this type cannot travel between processes: a set or map in it has a comparator or hasher
// alone
#include <lenskit/invoker.hpp>

#include <functional>
#include <set>
#include <vector>

#ifdef CORRECTED
using numbers = std::set<int, std::greater<>>;
#else
using numbers = std::set<int, bool (*)(int, int)>;
#endif

void run(const std::vector<numbers>& lists) {
  lenskit::invoker inv(
      0, [](const int&, const numbers& given) { return given.size(); }, 2);
  for (std::size_t x : inv.map(lists)) static_cast<void>(x);
}
