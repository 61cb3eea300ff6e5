// The two kinds of connection between a parent and its worker, and what is sent over them with descriptors.
#pragma once

#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/os/descriptor.hpp>

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <vector>

namespace lenskit::detail {

/// Two connected ends.
struct descriptor_pair {
  descriptor first;
  descriptor second;
};

/// A duplex byte stream (AF_UNIX). Both ends are blocking; use `dont_wait` per call. Throws std::system_error.
[[nodiscard]] descriptor_pair make_stream();
/// A duplex connection that keeps message boundaries (AF_UNIX, SOCK_SEQPACKET). Throws std::system_error.
[[nodiscard]] descriptor_pair make_packet_connection();
/// A pipe: `first` is the read end, `second` the write end, both non-blocking. Throws std::system_error.
[[nodiscard]] descriptor_pair make_pipe();

enum class blocking { wait, dont_wait };

/// Whether `error` of a transfer says that the other side has closed its end.
[[nodiscard]] bool peer_is_gone(int error) noexcept;

/// What one transfer did.
struct transfer {
  std::size_t bytes = 0;
  enum class end { more, would_block, closed } state = end::more;
  int error = 0;  ///< errno behind `closed`; 0 for an orderly end of stream
};

/// Sends as much of `parts` as fits, with `attached` descriptors on its first byte. Never raises SIGPIPE.
transfer send_some(int fd, std::span<const iovec> parts, blocking mode, std::span<const int> attached = {}) noexcept;
/// Sends all of `parts`, waiting as long as it takes; false if the other side is gone. Any number of descriptors, as
/// long as there is a byte of `parts` for every 253 of them.
bool send_all(int fd, std::span<iovec> parts, std::span<const int> attached = {}) noexcept;
/// Receives up to `room` bytes and adds the descriptors that came along to `attached`.
transfer receive_some(int fd, std::span<std::byte> room, blocking mode, std::vector<descriptor>& attached);
/// Waits until nobody holds the other end of a stream any more. False if `deadline` came first.
[[nodiscard]] bool wait_closed(int fd, steady::time_point deadline) noexcept;

}  // namespace lenskit::detail
