#include <lenskit/detail/os/cancel_shield.hpp>

#include <pthread.h>

namespace lenskit::detail {

cancel_shield::cancel_shield() noexcept { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }

cancel_shield::~cancel_shield() {
  int shielded = 0;
  ::pthread_setcancelstate(before_, &shielded);
}

void cancellation_point() { ::pthread_testcancel(); }

}  // namespace lenskit::detail
