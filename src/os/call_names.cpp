#include <lenskit/detail/os/system.hpp>

#include <array>
#include <cstddef>

namespace lenskit::detail::sys {
namespace {

struct named_call {
  call which;
  const char* name;
};
// In the order of the enumeration.
constexpr auto named_calls = std::to_array<named_call>({
    {call::fork, "fork"},
    {call::socketpair, "socketpair"},
    {call::pipe2, "pipe2"},
    {call::memfd_create, "memfd_create"},
    {call::eventfd, "eventfd"},
    {call::timerfd, "timerfd"},
    {call::open, "open"},
    {call::unlink, "unlink"},
    {call::fstat, "fstat"},
    {call::fallocate, "fallocate"},
    {call::ftruncate, "ftruncate"},
    {call::fcntl, "fcntl"},
    {call::dup, "dup"},
    {call::mmap, "mmap"},
    {call::munmap, "munmap"},
    {call::mprotect, "mprotect"},
    {call::madvise, "madvise"},
    {call::read, "read"},
    {call::write, "write"},
    {call::pread, "pread"},
    {call::pwrite, "pwrite"},
    {call::sendmsg, "sendmsg"},
    {call::recvmsg, "recvmsg"},
    {call::poll, "poll"},
    {call::epoll_create, "epoll_create"},
    {call::epoll_ctl, "epoll_ctl"},
    {call::epoll_wait, "epoll_wait"},
    {call::pidfd_open, "pidfd_open"},
    {call::pidfd_send_signal, "pidfd_send_signal"},
    {call::waitid, "waitid"},
    {call::kill, "kill"},
    {call::prctl, "prctl"},
    {call::setpgid, "setpgid"},
    {call::linkat, "linkat"},
    {call::setsockopt, "setsockopt"},
    {call::openat, "openat"},
    {call::unlinkat, "unlinkat"},
    {call::renameat, "renameat"},
    {call::fchmod, "fchmod"},
    {call::fsync, "fsync"},
    {call::flock, "flock"},
    {call::fstatfs, "fstatfs"},
    {call::signalfd, "signalfd"},
    {call::membarrier, "membarrier"},
    {call::clone, "clone"},
});
static_assert(named_calls.back().which == call::clone);
static_assert([] {
  for (std::size_t i = 0; i < named_calls.size(); ++i)
    if (named_calls[i].which != static_cast<call>(i)) return false;
  return true;
}());

}  // namespace

const char* name(call which) noexcept {
  const auto number = static_cast<std::size_t>(which);
  return number < named_calls.size() ? named_calls[number].name : "unknown call";
}

}  // namespace lenskit::detail::sys
