// Frames: how a message is delimited, numbered and checked on a byte stream.
//
// Nothing in a frame is believed before it is verified: the header by its own checksum, the payload by its length,
// sequence number and checksum (failures D4, D5).
#pragma once

#include <lenskit/detail/os/channel.hpp>
#include <lenskit/detail/os/message_block.hpp>
#include <lenskit/detail/wire/cut_payload.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <vector>

namespace lenskit::detail {

/// An owned run of bytes that is never zero-filled.
class byte_buffer {
 public:
  byte_buffer() noexcept = default;
  /// Throws std::bad_alloc.
  explicit byte_buffer(std::size_t size) : bytes_(allocate_block(size)), size_(size) {
    if (!bytes_ && size != 0) throw std::bad_alloc();
  }
  byte_buffer(byte_buffer&& other) noexcept
      : bytes_(std::move(other.bytes_)), begin_(std::exchange(other.begin_, 0)), size_(std::exchange(other.size_, 0)) {}
  byte_buffer& operator=(byte_buffer&& other) noexcept {
    bytes_ = std::move(other.bytes_);
    begin_ = std::exchange(other.begin_, 0);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  /// Forgets all but `size` bytes from `begin` on.
  void narrow(std::size_t begin, std::size_t size) noexcept {
    begin_ += begin;
    size_ = size;
  }

  [[nodiscard]] std::byte* data() noexcept { return bytes_.get() + begin_; }
  [[nodiscard]] const std::byte* data() const noexcept { return bytes_.get() + begin_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::span<std::byte> bytes() noexcept { return {data(), size_}; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data(), size_}; }

 private:
  std::unique_ptr<std::byte, free_bytes> bytes_;
  std::size_t begin_ = 0;
  std::size_t size_ = 0;
};

/// What stands before every payload. In the byte order of the machine: both ends are processes of one program.
struct frame_header {
  std::uint32_t magic = 0;
  std::uint8_t version = 0;
  std::uint8_t type = 0;
  std::uint16_t attachments = 0;  ///< descriptors that come with the frame
  std::uint64_t sequence = 0;     ///< counts the frames of one direction from 0
  std::uint64_t length = 0;       ///< bytes of the payload
  std::uint32_t payload_check = 0;
  std::uint32_t header_check = 0;  ///< over all of the above
};
static_assert(sizeof(frame_header) == 32);

/// A header for a payload that is sent as the concatenation of `parts`.
[[nodiscard]] frame_header make_frame_header(std::uint8_t type, std::uint64_t sequence, std::span<const iovec> parts,
                                             std::size_t attachments = 0) noexcept;

/// A received message.
struct frame {
  std::uint8_t type = 0;
  byte_buffer payload;
  std::vector<descriptor> attached;
  std::uint64_t missing = 0;  ///< bytes behind the payload for which there was no memory: they were thrown away
};

/// Puts the frames of one stream together from whatever pieces arrive. Not thread-safe.
class frame_reader {
 public:
  /// Refuses frames of more than `longest` bytes.
  explicit frame_reader(std::uint64_t longest = default_longest);

  /// Receives what there is; blocks only in mode `wait` and then until there is something.
  transfer receive(int fd, blocking mode);
  /// Whether the last `receive` had room left, so that another one would most likely find nothing.
  [[nodiscard]] bool drained() const noexcept { return drained_; }
  /// Takes `bytes` as if they had been received. For tests and fuzzing.
  void feed(std::span<const std::byte> bytes);
  /// The next whole frame, verified; of one that does not fit into memory the beginning (`cut_payload`). Throws
  /// serialization_error if the stream is corrupt, after which it stays so.
  [[nodiscard]] std::optional<frame> next();
  /// Whether part of a frame has arrived.
  [[nodiscard]] bool in_the_middle() const noexcept { return begin_ != end_ || have_header_; }

  static constexpr std::uint64_t default_longest = std::uint64_t{1} << 40;

 private:
  [[nodiscard]] std::span<std::byte> room();
  void arrived(std::size_t bytes) noexcept;
  void open_frame();
  [[nodiscard]] frame close_frame();
  [[nodiscard]] byte_buffer take_payload();

  std::uint64_t longest_;
  std::uint64_t sequence_ = 0;
  byte_buffer small_;  // headers and short frames, in [begin_, end_)
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  frame_header header_{};  // of the frame being filled
  bool have_header_ = false;
  bool drained_ = false;
  bool behind_long_ = false;  // the last frame had a buffer of its own
  byte_buffer payload_;       // of a frame too long for small_
  std::size_t filled_ = 0;    // of payload_
  std::vector<descriptor> attached_;
  std::optional<cut_payload> cut_;  // of a frame that does not fit into memory
};

}  // namespace lenskit::detail
