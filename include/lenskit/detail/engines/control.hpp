// The messages between the parent and the spawner: one struct, one packet.
#pragma once

#include <lenskit/detail/os/channel.hpp>
#include <lenskit/detail/os/exit_status.hpp>

#include <cstdint>
#include <optional>
#include <type_traits>

namespace lenskit::detail {

struct control_message {
  enum class kind : std::uint32_t {
    spawn,    ///< to the spawner, with the worker's stream and log: fork a worker
    started,  ///< from it, with a pidfd
    ended,    ///< from it: the worker was reaped
    failed,   ///< from it: fork did not succeed, `value` is errno
    ready,    ///< from it, once: it serves as process `pid`
    signal,   ///< to it: send `value` to the worker `pid`, because the parent may not
  };
  kind what = kind::spawn;
  std::int32_t slot = -1;
  std::int32_t pid = -1;
  std::int32_t value = 0;  ///< errno or signal
  exit_status status{};    ///< of one that has ended
};
static_assert(std::is_trivially_copyable_v<control_message>);

/// A control message with the descriptors that came along.
struct received_control {
  control_message message;
  std::vector<descriptor> attached;
  bool closed = false;  ///< the other side is gone
};

/// False if the other side is gone.
inline bool send_control(int fd, const control_message& message, std::span<const int> attached = {}) noexcept {
  iovec part{const_cast<control_message*>(&message), sizeof message};
  return send_all(fd, {&part, 1}, attached);
}

/// Nothing if none has arrived and `mode` is dont_wait.
inline std::optional<received_control> receive_control(int fd, blocking mode) {
  received_control received;
  const auto result = receive_some(fd, {reinterpret_cast<std::byte*>(&received.message), sizeof received.message}, mode,
                                   received.attached);
  if (result.state == transfer::end::would_block) return std::nullopt;
  received.closed = result.state == transfer::end::closed || result.bytes != sizeof received.message;
  return received;
}

}  // namespace lenskit::detail
