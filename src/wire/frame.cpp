#include <lenskit/detail/wire/crc32c.hpp>
#include <lenskit/detail/wire/frame.hpp>
#include <lenskit/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

namespace lenskit::detail {
namespace {

constexpr std::uint32_t frame_magic = 0x4d46'4b4c;  // "LKFM"
constexpr std::uint8_t frame_version = 1;
constexpr std::size_t small_bytes = std::size_t{64} << 10;
// From here on a payload keeps the buffer that it was received into, rather than being copied out of it.
constexpr std::size_t worth_a_buffer = small_bytes / 2;
constexpr std::size_t glance_bytes = 4096;

std::uint32_t header_check(const frame_header& header) noexcept {
  return crc32c(&header, offsetof(frame_header, header_check));
}

void verify(const frame_header& header, std::uint64_t sequence, std::uint64_t longest) {
  if (header.magic != frame_magic) {
    throw serialization_error(fmt::format("corrupt frame: magic {:#x}, expected {:#x}", header.magic, frame_magic));
  }
  if (header.header_check != header_check(header)) throw serialization_error("corrupt frame: header checksum is wrong");
  if (header.version != frame_version) {
    throw serialization_error(fmt::format("frame of version {}, expected {}", header.version, frame_version));
  }
  if (header.sequence != sequence) {
    throw serialization_error(fmt::format("frame number {} out of order, expected {}", header.sequence, sequence));
  }
  if (header.length > longest) {
    throw serialization_error(fmt::format("frame of {} bytes, at most {} are allowed", header.length, longest));
  }
}

}  // namespace

frame_header make_frame_header(std::uint8_t type, std::uint64_t sequence, std::span<const iovec> parts,
                               std::size_t attachments) noexcept {
  frame_header header;
  header.magic = frame_magic;
  header.version = frame_version;
  header.type = type;
  header.attachments = static_cast<std::uint16_t>(attachments);
  header.sequence = sequence;
  for (const auto& part : parts) {
    header.length += part.iov_len;
    header.payload_check = crc32c(part.iov_base, part.iov_len, header.payload_check);
  }
  header.header_check = header_check(header);
  return header;
}

frame_reader::frame_reader(std::uint64_t longest) : longest_(longest), small_(small_bytes) {}

std::span<std::byte> frame_reader::room() {
  if (payload_.size() != 0) return payload_.bytes().subspan(filled_);
  if (begin_ == end_) begin_ = end_ = 0;
  if (end_ == small_.size()) {  // a frame that fits but lies at the end: move its beginning to the front
    std::memmove(small_.data(), small_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  return small_.bytes().subspan(end_);
}

void frame_reader::arrived(std::size_t bytes) noexcept { (payload_.size() != 0 ? filled_ : end_) += bytes; }

transfer frame_reader::receive(int fd, blocking mode) {
  auto space = room();
  // A long frame is most likely followed by another one. What arrives here of that will have to be copied.
  if (behind_long_ && payload_.size() == 0) space = space.first(std::min(glance_bytes, space.size()));
  const auto result = receive_some(fd, space, mode, attached_);
  drained_ = result.bytes < space.size();
  arrived(result.bytes);
  return result;
}

void frame_reader::feed(std::span<const std::byte> bytes) {
  const auto space = room();
  if (bytes.size() > space.size()) throw std::length_error("more bytes fed than the frame reader has room for");
  std::copy(bytes.begin(), bytes.end(), space.begin());
  arrived(bytes.size());
}

std::optional<frame> frame_reader::next() {
  if (!have_header_) {
    if (end_ - begin_ < sizeof header_) return std::nullopt;
    std::memcpy(&header_, small_.data() + begin_, sizeof header_);
    verify(header_, sequence_, longest_);
    begin_ += sizeof header_;
    have_header_ = true;
    open_frame();
  }
  if (cut_) {
    begin_ += cut_->take(small_.bytes().subspan(begin_, end_ - begin_));
    return cut_->complete() ? std::optional(close_frame()) : std::nullopt;
  }
  const bool complete = payload_.size() != 0 ? filled_ == payload_.size() : end_ - begin_ >= header_.length;
  if (!complete) return std::nullopt;
  return close_frame();
}

// A frame that cannot stand whole in the small buffer gets its own, into which the rest is received directly.
void frame_reader::open_frame() {
  behind_long_ = header_.length > small_.size() - sizeof header_;
  if (!behind_long_) return;
  try {
    payload_ = byte_buffer(header_.length);
  } catch (const std::bad_alloc&) {  // whoever sent it has done nothing wrong: what comes behind it is heard
    cut_.emplace(header_.length);
    behind_long_ = false;
    return;
  }
  filled_ = std::min(end_ - begin_, payload_.size());
  std::memcpy(payload_.data(), small_.data() + begin_, filled_);
  begin_ += filled_;
}

byte_buffer frame_reader::take_payload() {
  if (cut_) {
    byte_buffer beginning(cut_->beginning().size());
    std::ranges::copy(cut_->beginning(), beginning.data());
    return beginning;
  }
  if (payload_.size() != 0) {
    filled_ = 0;
    return std::exchange(payload_, byte_buffer());
  }
  const auto behind = begin_ + header_.length;
  if (header_.length < worth_a_buffer) {
    byte_buffer copy(header_.length);
    if (header_.length != 0) std::memcpy(copy.data(), small_.data() + begin_, header_.length);
    begin_ = behind;
    return copy;
  }
  byte_buffer next(small_bytes);
  std::memcpy(next.data(), small_.data() + behind, end_ - behind);
  end_ -= behind;
  auto taken = std::exchange(small_, std::move(next));
  taken.narrow(std::exchange(begin_, 0), header_.length);
  return taken;
}

frame frame_reader::close_frame() {
  frame done;
  done.type = header_.type;
  done.attached.reserve(header_.attachments);  // first, because what has been taken cannot be put back (A1)
  done.payload = take_payload();
  const auto check = cut_ ? cut_->check() : crc32c(done.payload.data(), done.payload.size());
  if (cut_) done.missing = header_.length - done.payload.size();
  cut_.reset();
  if (check != header_.payload_check) {
    throw serialization_error(fmt::format("corrupt frame number {}: payload checksum is wrong", header_.sequence));
  }
  if (attached_.size() < header_.attachments) {
    throw serialization_error(fmt::format("frame number {} lost {} of its descriptors", header_.sequence,
                                          header_.attachments - attached_.size()));
  }
  const auto split = attached_.begin() + header_.attachments;
  done.attached.assign(std::make_move_iterator(attached_.begin()), std::make_move_iterator(split));
  attached_.erase(attached_.begin(), split);
  have_header_ = false;
  ++sequence_;
  return done;
}

}  // namespace lenskit::detail
