#include <lenskit/thread_limit.hpp>

#include <stdexcept>
#include <string>

namespace lenskit {
namespace {

std::vector<detail::backend_setting> set_all(int threads) {
  if (threads < 1) throw std::invalid_argument("cannot set " + std::to_string(threads) + " backend threads");
  return detail::set_backends(threads, detail::backend_api::all);
}

}  // namespace

void set_backend_threads(int threads) { (void)set_all(threads); }

thread_limit::thread_limit(int threads) : before_(set_all(threads)) {}

thread_limit::~thread_limit() { detail::restore(before_); }

}  // namespace lenskit
