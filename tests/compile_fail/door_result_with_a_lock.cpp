// expect: lenskit: this type cannot travel between processes: it is or contains a class that cannot be moved
// alone
#include <lenskit/invoker.hpp>

#include <mutex>
#include <vector>

#include <memory>

void run(const std::vector<int>& users) {
#ifdef CORRECTED
  lenskit::invoker inv(
      0, [](const int&, int x) { return std::make_unique<int>(x); }, 2);
#else
  lenskit::invoker inv(
      0, [](const int&, int) { return std::make_unique<std::mutex>(); }, 2);
#endif
  for (const auto& x : inv.as_completed(users)) static_cast<void>(x);
}
