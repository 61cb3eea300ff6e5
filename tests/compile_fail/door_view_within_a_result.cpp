// expect: lenskit: the function returns a pointer, reference or view
// alone
#include <lenskit/invoker.hpp>

#include <ranges>
#include <string>
#include <string_view>
#include <vector>

void run(const std::vector<int>& users) {
  lenskit::invoker inv(
      0,
      [](const int&, int) {
#ifdef CORRECTED
        return std::views::single(7);
#else
        return std::views::single(std::string_view("name"));
#endif
      },
      2);
  for (const auto& x : inv.map_outcomes(users)) static_cast<void>(x);
}
