// expect: lenskit: the function cannot be called with the model and one element of each range
// alone
#include <lenskit/invoker.hpp>

#include <string>
#include <vector>

void run(const std::vector<int>& users, const std::vector<std::string>& names) {
  lenskit::invoker inv(
      0, [](const int&, const std::string& name) { return name; }, 2);
#ifdef CORRECTED
  static_cast<void>(users);
  for (std::string name : inv.map(names)) name.clear();
#else
  static_cast<void>(names);
  for (std::string name : inv.map(users)) name.clear();
#endif
}
