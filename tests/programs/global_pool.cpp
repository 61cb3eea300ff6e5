// Uses the library in initialisers of global objects: status 0 if all of it works.
#include <lenskit/parallel.hpp>

#include <unistd.h>

#include <vector>

namespace {

constexpr unsigned patience_seconds = 15;
[[maybe_unused]] const unsigned none_left = alarm(patience_seconds);

int times(const int& model, int x) { return model * x; }

lenskit::invoker<int, int (*)(const int&, int)> pool(2, &times, {.n_jobs = 2, .engine = lenskit::engine::processes});
const std::vector<int> before_main = pool.map(std::vector{1, 2, 3}).collect();
const int from_subprocess = lenskit::run_sp([] { return 7; });
const lenskit::shared_array<int> numbers(std::vector<int>{5, 6});
lenskit::invoker sharing(
    numbers, [](const lenskit::shared_array<int>& model, std::size_t i) { return model[i]; },
    lenskit::invoker_options{.n_jobs = 2, .engine = lenskit::engine::processes});

}  // namespace

int main() {
  const std::vector<int> twice{2, 4, 6};
  const bool early = before_main == twice && from_subprocess == 7;
  // A call whose code nothing before main has used.
  const auto later = pool.map_outcomes(std::vector{1, 2, 3}).collect();
  const bool late = pool.map(std::vector{1, 2, 3}).collect() == twice && later.size() == 3 && later[2].value() == 6;
  const bool shared = sharing.map(std::vector<std::size_t>{1, 0}).collect() == std::vector{6, 5};
  return early && late && shared ? 0 : 1;
}
