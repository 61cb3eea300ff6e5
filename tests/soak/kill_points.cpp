#include "kill_points.hpp"

#include <lenskit/detail/wire/frame.hpp>
#include <lenskit/detail/wire/message.hpp>

#include <sys/mman.h>
#include <sys/resource.h>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <stdexcept>

namespace lenskit::soak {

using detail::sys::call;
using detail::sys::moment;

void commit(fault what) {
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  switch (what) {
    case fault::segv: ::raise(SIGSEGV); break;
    case fault::abort: ::raise(SIGABRT); break;
    case fault::kill: ::raise(SIGKILL); break;
    case fault::stop: ::raise(SIGSTOP); break;
    case fault::exit_0: ::_exit(0);
    case fault::exit_3: ::_exit(3);
    case fault::raise: throw std::runtime_error("thrown at a kill point");
    case fault::sleep:
      for (;;) ::pause();
    case fault::close_descriptors: ::close_range(3, ~0U, 0); break;
  }
}

kill_point::kill_point(point where, fault what, std::size_t payload) : where_(where), what_(what), payload_(payload) {
  void* room = ::mmap(nullptr, sizeof *fired_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) throw std::bad_alloc();
  fired_ = new (room) std::atomic<bool>(false);
  detail::sys::intercept(this);
}

kill_point::~kill_point() {
  detail::sys::intercept(nullptr);
  ::munmap(fired_, sizeof *fired_);
}

void kill_point::pass(point here) {
  if (here == where_ && in_worker_ && !fired_->exchange(true)) commit(what_);
}

int kill_point::fail(call which) noexcept {
  if (!in_worker_) return 0;
  if (which == call::write) pass(point::log);
  if (cut_ && which == call::recvmsg) pass(where_ == point::argument_header ? where_ : point::argument_body);
  if (cut_ && which == call::sendmsg) pass(where_ == point::result_header ? where_ : point::result_body);
  return 0;
}

std::size_t kill_point::shorten(call which, std::size_t bytes) noexcept {
  if (!in_worker_ || cut_) return bytes;
  std::size_t most = bytes;
  constexpr auto header = sizeof(detail::frame_header);
  if (which == call::recvmsg && where_ == point::argument_header) most = header / 2;
  if (which == call::recvmsg && where_ == point::argument_body) most = header + sizeof(detail::tasks_head) / 2;
  if (which == call::sendmsg && where_ == point::result_header) most = header / 2;
  if (which == call::sendmsg && where_ == point::result_body)
    most = header + sizeof(detail::results_head) + payload_ / 2;
  if (most < bytes) cut_ = true;
  return std::min(most, bytes);
}

void kill_point::reach(moment which) {
  switch (which) {
    case moment::forked:
      in_worker_ = true;
      pass(point::forked);
      break;
    case moment::ready: pass(point::ready); break;
    case moment::accepted: pass(point::acknowledged); break;
    case moment::leaving: pass(point::leaving); break;
  }
}

}  // namespace lenskit::soak
