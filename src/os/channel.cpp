#include <lenskit/detail/os/channel.hpp>
#include <lenskit/detail/os/errors.hpp>
#include <lenskit/detail/os/system.hpp>

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace lenskit::detail {
namespace {

constexpr std::size_t max_attached = 253;  // that the kernel lets travel together (SCM_MAX_FD)
// What a worker can send without waiting for the parent: large results wake it less often then. The kernel gives as
// much of it as its limit allows.
constexpr int stream_room = 1 << 20;
constexpr std::size_t control_bytes = CMSG_SPACE(max_attached * sizeof(int));

template <class Make>
descriptor_pair make_pair(const char* what, Make&& make) {
  int fds[2] = {-1, -1};
  const auto gate = descriptor_gate();
  if (make(fds) != 0) throw_errno(what);
  descriptor_pair pair;
  pair.first = descriptor(fds[0]);
  pair.second = descriptor(fds[1]);
  return pair;
}

transfer failed() noexcept {
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS) {
    return {0, transfer::end::would_block, errno};
  }
  return {0, transfer::end::closed, errno};
}

int flags_of(blocking mode) noexcept { return mode == blocking::dont_wait ? MSG_DONTWAIT : 0; }

}  // namespace

bool peer_is_gone(int error) noexcept { return error == 0 || error == EPIPE || error == ECONNRESET; }

descriptor_pair make_stream() {
  auto pair =
      make_pair("cannot create a worker's connection", [](int(&fds)[2]) { return sys::socketpair(SOCK_STREAM, fds); });
  for (const auto* end : {&pair.first, &pair.second}) sys::setsockopt(end->get(), SOL_SOCKET, SO_SNDBUF, stream_room);
  return pair;
}

descriptor_pair make_packet_connection() {
  return make_pair("cannot create the spawner's connection",
                   [](int(&fds)[2]) { return sys::socketpair(SOCK_SEQPACKET, fds); });
}

descriptor_pair make_pipe() {
  return make_pair("cannot create a worker's log pipe", [](int(&fds)[2]) { return sys::pipe(fds, O_NONBLOCK); });
}

transfer send_some(int fd, std::span<const iovec> parts, blocking mode, std::span<const int> attached) noexcept {
  alignas(cmsghdr) std::array<std::byte, control_bytes> control;
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());  // the kernel only reads it
  message.msg_iovlen = parts.size();
  if (!attached.empty()) {
    const auto count = std::min(attached.size(), max_attached);
    control.fill(std::byte{0});
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    auto* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    std::memcpy(CMSG_DATA(header), attached.data(), count * sizeof(int));
  }
  const auto sent = sys::retry([&]() noexcept { return sys::sendmsg(fd, message, flags_of(mode)); });
  if (sent < 0) return failed();
  return {static_cast<std::size_t>(sent), transfer::end::more, 0};
}

bool send_all(int fd, std::span<iovec> parts, std::span<const int> attached) noexcept {
  while (!parts.empty()) {
    // So many at a time, each lot with a byte of its own but the last, which goes with all that is left (X1).
    const auto lot = attached.first(std::min(attached.size(), max_attached));
    const iovec byte{parts.front().iov_base, 1};
    const bool more = lot.size() < attached.size();
    const auto result = send_some(fd, more ? std::span(&byte, 1) : parts, blocking::wait, lot);
    if (result.state == transfer::end::closed) return false;
    if (result.state == transfer::end::would_block) {
      // The kernel is short of memory, or too many descriptors are on the way: wait for room, then go on.
      pollfd room{fd, result.error == ETOOMANYREFS ? short{0} : short{POLLOUT}, 0};
      constexpr int pause_ms = 10;
      sys::poll(&room, 1, pause_ms);
      continue;
    }
    attached = attached.subspan(lot.size());
    auto left = result.bytes;
    while (!parts.empty() && left >= parts.front().iov_len) {
      left -= parts.front().iov_len;
      parts = parts.subspan(1);
    }
    if (!parts.empty()) {
      parts.front().iov_base = static_cast<std::byte*>(parts.front().iov_base) + left;
      parts.front().iov_len -= left;
    }
  }
  return true;
}

transfer receive_some(int fd, std::span<std::byte> room, blocking mode, std::vector<descriptor>& attached) {
  alignas(cmsghdr) std::array<std::byte, control_bytes> control;
  // First, because a message that has come cannot be put back (A1).
  if (attached.capacity() - attached.size() < max_attached)
    attached.reserve(std::max(attached.size() + max_attached, 2 * attached.capacity()));
  iovec part{room.data(), room.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  // Descriptors that arrive must be listed before anybody forks; a blocking wait must not hold the gate, though.
  // A blocking receiver is a forked worker or spawner: single-threaded as far as the library goes.
  const auto gate = mode == blocking::dont_wait ? descriptor_gate() : gate_lock();
  const auto got = sys::retry([&]() noexcept { return sys::recvmsg(fd, message, flags_of(mode)); });
  if (got < 0) return failed();
  for (auto* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const auto count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(header) + i * sizeof(int), sizeof number);
      attached.emplace_back(number);
    }
  }
  if (got == 0) return {0, transfer::end::closed, 0};
  return {static_cast<std::size_t>(got), transfer::end::more, 0};
}

bool wait_closed(int fd, steady::time_point deadline) noexcept {
  pollfd end{fd, 0, 0};  // POLLHUP is always told
  for (;;) {
    if (sys::poll(&end, 1, milliseconds_until(deadline)) > 0) return true;
    if (steady::now() >= deadline) return false;
  }
}

}  // namespace lenskit::detail
