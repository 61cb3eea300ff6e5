// A worker as the parent sees it: its connections, its process, and what is on its way to it.
#pragma once

#include <lenskit/detail/dispatch/chunk.hpp>
#include <lenskit/detail/engines/spawner.hpp>
#include <lenskit/detail/log/report_reader.hpp>
#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/os/process.hpp>
#include <lenskit/detail/wire/frame.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lenskit::detail {

/// A message to a worker that may be half sent.
class outgoing_message {
 public:
  outgoing_message(std::uint64_t sequence, std::shared_ptr<chunk> work, bool keeps_time);
  outgoing_message(std::uint64_t sequence, std::uint64_t recalled_chunk);
  outgoing_message(std::uint64_t sequence, std::string levels);

  static constexpr std::size_t most_parts = 4;
  /// Puts what is left to send into `parts`, which has room for `most_parts`; returns how many these are.
  std::size_t unsent(std::span<iovec> parts) noexcept;
  /// Takes note that up to `bytes` more were sent, and returns how many of them were this message's.
  std::size_t sent(std::size_t bytes) noexcept;
  [[nodiscard]] bool done() const noexcept { return sent_ == sizeof header_ + header_.length; }

 private:
  void seal(std::uint64_t sequence) noexcept;
  [[nodiscard]] std::array<iovec, most_parts> parts() noexcept;

  frame_header header_{};
  message type_;
  std::array<std::byte, 32> head_{};
  std::size_t head_bytes_ = 0;
  std::shared_ptr<chunk> work_;
  std::string levels_;
  std::size_t sent_ = 0;
};

/// Sends of the messages what the connection takes now, as many as possible at a time, and drops those that are sent;
/// `more` if that is all. `bytes` of the transfer: all that were sent.
transfer send_messages(std::vector<outgoing_message>& queue, int fd) noexcept;

enum class worker_state {
  vacant,    ///< no process, none asked for
  starting,  ///< asked for; what is sent waits in the connection
  running,
};

/// Fields are guarded by the dispatcher's lock, but those marked (leader), which only the leading thread touches.
struct worker_handle {
  std::atomic<worker_state> state = worker_state::vacant;  // written by the leader
  descriptor stream;
  std::vector<outgoing_message> outgoing;
  bool awaiting_room = false;             ///< outgoing is not empty and the poller watches for room
  bool unflushed = false;                 ///< messages have been added to outgoing since it was last sent from
  std::uint64_t sequence = 0;             ///< of the next message
  std::uint64_t levels_version = 0;       ///< of the logger levels that it knows
  std::uint64_t bytes_sent = 0;           ///< over the stream
  bool end_requested = false;             ///< by end_worker
  std::atomic<bool> unreachable = false;  ///< nothing can be sent to it any more
  steady::time_point kill_at = steady::time_point::max();

  std::optional<frame_reader> incoming;    // (leader)
  std::atomic<bool> killed = false;        // by the pool, because it was of no more use
  process handle;                          // replaced under the engine's own mutex
  descriptor log_end;                      // (leader) read end, until the pid is known
  std::shared_ptr<report_reader> reports;  // likewise; null until the pid is known
  pid_t pid = -1;                          // (leader)
  std::uint64_t bytes_received = 0;        // (leader)
  steady::time_point ended_at{};           // (leader) when the pidfd said so
  std::optional<exit_status> status;       // (leader)
  int failed_starts = 0;                   // (leader)
  int start_error = 0;                     // (leader) errno of the last of them, until it is reported
  steady::time_point retry_at{};           // (leader)
};

}  // namespace lenskit::detail
