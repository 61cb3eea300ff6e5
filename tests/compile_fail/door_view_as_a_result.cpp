// expect: lenskit: the function returns a pointer, reference or view
// alone
#include <lenskit/invoker.hpp>

#include <boost/utility/string_view.hpp>
#include <string>
#include <vector>

#ifdef CORRECTED
using text = std::string;
#else
using text = boost::string_view;
#endif

void run(const std::vector<int>& users) {
  lenskit::invoker inv(
      0, [](const int&, int) { return text("name"); }, 2);
  for (const auto& x : inv.map_outcomes(users)) static_cast<void>(x);
}
