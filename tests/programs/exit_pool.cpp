// Uses the library behind main, as its argument says: in an exit handler, or in the destructor of a global object that
// was made before it. Status 0 if all of it works.
#include <lenskit/parallel.hpp>

#include <unistd.h>

#include <cstdlib>
#include <string_view>
#include <vector>

namespace {

bool all_works() {
  lenskit::invoker inv(1, [](const int& model, int x) { return model + x; },
                       {.n_jobs = 2, .engine = lenskit::engine::processes});
  return inv.map(std::vector{1, 2}).collect() == std::vector{2, 3} && lenskit::run_sp([] { return 7; }) == 7;
}

bool in_destructor = false;

struct last_user {
  ~last_user() {
    if (in_destructor) _exit(all_works() ? 0 : 1);
  }
};
const last_user user;

}  // namespace

int main(int count, char** arguments) {
  constexpr unsigned patience_seconds = 15;
  alarm(patience_seconds);
  const std::string_view where(count > 1 ? arguments[1] : "");
  if (where.find("used before") != std::string_view::npos && !all_works()) return 2;
  in_destructor = where.starts_with("destructor");
  if (in_destructor) return 3;
  std::atexit([] { _exit(all_works() ? 0 : 1); });
  return 3;
}
