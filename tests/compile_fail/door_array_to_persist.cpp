// expect: lenskit: persist takes no array
// alone
#include <lenskit/invoker.hpp>

#include <lenskit/persist.hpp>
#include <string>

void run() {
#ifdef CORRECTED
  auto stored = lenskit::persist(std::string("blob"));
#else
  auto stored = lenskit::persist("blob");
#endif
  static_cast<void>(stored);
}
