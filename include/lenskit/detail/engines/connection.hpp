// The connection to one worker: frames to it and from it, and what has been claimed of what it was sent.
#pragma once

#include <lenskit/detail/dispatch/assignment.hpp>
#include <lenskit/detail/os/channel.hpp>
#include <lenskit/detail/wire/frame.hpp>
#include <lenskit/detail/worker/journal.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lenskit::detail {

/// A message to a worker that may be half sent.
class outgoing_message {
 public:
  outgoing_message(std::uint64_t sequence, assignment work, std::uint32_t claim, bool keeps_time) noexcept;
  outgoing_message(std::uint64_t sequence, std::shared_ptr<const std::string> levels) noexcept;

  static constexpr std::size_t most_parts = 4;
  /// Puts what is left to send into `parts`, which has room for `most_parts`; returns how many these are.
  std::size_t unsent(std::span<iovec> parts) noexcept;
  /// Takes note that up to `bytes` more were sent, and returns how many of them were this message's.
  std::size_t sent(std::size_t bytes) noexcept;
  [[nodiscard]] bool done() const noexcept { return sent_ == sizeof header_ + header_.length; }

 private:
  void seal(message type, std::uint64_t sequence) noexcept;
  [[nodiscard]] std::array<iovec, most_parts> parts() noexcept;

  frame_header header_{};
  std::optional<tasks_head> head_{};
  assignment work_{};
  std::shared_ptr<const std::string> levels_{};
  std::size_t sent_ = 0;
};

/// The sending side is guarded by the dispatcher's lock and asks for no memory; the receiving side is the leader's.
class connection {
 public:
  /// `block` is the worker's and outlives the connection. Throws std::bad_alloc.
  connection(descriptor stream, journal_block& block);

  [[nodiscard]] int fd() const noexcept { return stream_.get(); }
  [[nodiscard]] bool open() const noexcept { return static_cast<bool>(stream_); }
  void close() noexcept { stream_.reset(); }

  /// How many more chunks the worker can be given.
  [[nodiscard]] int room() const noexcept;
  /// Whether there is none only because the worker has not yet left behind what was taken back from it.
  [[nodiscard]] bool clogged() const noexcept;
  /// Each waits for `flush` before it sets out.
  void push(assignment work, bool keeps_time) noexcept;
  void push(std::shared_ptr<const std::string> levels) noexcept;
  /// See `worker_engine::take_back`.
  [[nodiscard]] std::uint32_t take_back(std::uint64_t chunk, std::uint32_t keep) noexcept;
  [[nodiscard]] bool unflushed() const noexcept { return unflushed_; }
  /// Whether there is more to send than the stream takes now.
  [[nodiscard]] bool awaits_room() const noexcept { return awaits_room_; }
  /// Sends what the stream takes now, as many messages as possible at a time.
  transfer flush() noexcept;

  /// Receives what there is. Throws serialization_error if the worker has lost its senses, std::bad_alloc.
  transfer receive() { return count(incoming_->receive(fd(), blocking::dont_wait)); }
  [[nodiscard]] std::optional<frame> next() { return incoming_->next(); }
  /// Whether the last `receive` most likely took everything.
  [[nodiscard]] bool drained() const noexcept { return incoming_->drained(); }
  [[nodiscard]] bool hears() const noexcept { return incoming_.has_value(); }
  /// Nothing more is to be heard of it.
  void deafen() noexcept { incoming_.reset(); }
  /// Chunks that the worker has been given and has not left behind. Thread-safe.
  [[nodiscard]] std::uint32_t unpassed() const noexcept;
  /// Whether a part of a message is on its way, so that the worker waits for whoever moves the rest.
  [[nodiscard]] bool in_transfer() const noexcept { return awaits_room_ || (incoming_ && incoming_->in_the_middle()); }
  /// Bytes that have been moved so far, either way.
  [[nodiscard]] std::uint64_t bytes_moved() const noexcept { return bytes_sent_ + bytes_received_; }

 private:
  struct sent_chunk {
    std::uint64_t chunk = 0;
    std::uint32_t count = 0;
    bool taken_back = false;  // wholly
  };
  transfer count(transfer moved) noexcept {
    bytes_received_ += moved.bytes;
    return moved;
  }

  descriptor stream_;
  journal_block& block_;
  std::vector<outgoing_message> outgoing_;
  bool unflushed_ = false;  // something has been added since the last flush
  bool awaits_room_ = false;
  std::uint64_t sequence_ = 0;  // of the next message
  std::array<sent_chunk, journal_block::most_claims> chunks_{};
  std::atomic<std::uint32_t> chunks_sent_{0};  // read by the leader, too, without the lock
  std::uint64_t bytes_sent_ = 0;
  std::optional<frame_reader> incoming_;
  std::uint64_t bytes_received_ = 0;
};

}  // namespace lenskit::detail
