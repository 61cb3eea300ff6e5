// D4 and D5: frames that are too long, damaged, cut off or hostile.
#include <lenskit/detail/os/channel.hpp>
#include <lenskit/detail/wire/crc32c.hpp>
#include <lenskit/detail/wire/frame.hpp>
#include <lenskit/error.hpp>
#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/message_of.hpp>

#include <sys/socket.h>
#include <sys/stat.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using lenskit::invoker;
using lenskit::serialization_error;
using lenskit::worker_died;
using lenskit::detail::frame_header;
using lenskit::detail::frame_reader;
using lenskit::tests::on;

namespace {

using bytes = std::vector<std::byte>;

bytes payload_of(std::size_t size) {
  bytes payload(size);
  for (std::size_t i = 0; i < size; ++i) payload[i] = static_cast<std::byte>(i * 7 + 3);
  return payload;
}

bytes framed(std::uint64_t sequence, std::size_t payload_size, std::uint8_t type = 2) {
  auto payload = payload_of(payload_size);
  std::array<iovec, 1> parts{iovec{payload.data(), payload.size()}};
  const auto header = lenskit::detail::make_frame_header(type, sequence, parts);
  bytes whole(sizeof header + payload_size);
  std::memcpy(whole.data(), &header, sizeof header);
  if (payload_size != 0) std::memcpy(whole.data() + sizeof header, payload.data(), payload_size);
  return whole;
}

// Short and long ones, at the limits between them, behind their like and behind others.
const std::vector<std::size_t> sizes{0,      1, 100,    32'767, 32'768,  32'769,  5,     60'000, 65'503, 65'504,
                                     65'505, 3, 40'000, 40'000, 200'000, 300'000, 5'000, 70'000, 60'000, 17};

bytes framed_all(const std::vector<std::size_t>& payload_sizes) {
  bytes stream;
  for (std::size_t i = 0; i < payload_sizes.size(); ++i) {
    const auto one = framed(i, payload_sizes[i]);
    stream.insert(stream.end(), one.begin(), one.end());
  }
  return stream;
}

// What the header of a stream's frame says and promises, with a checksum that is right.
frame_header forged_header(std::uint64_t length) {
  auto header = lenskit::detail::make_frame_header(2, 0, {});
  header.length = length;
  header.header_check = lenskit::detail::crc32c(&header, offsetof(frame_header, header_check));
  return header;
}

// How many whole frames a stream of these bytes gives before it ends or is found to be corrupt.
struct reading {
  int frames = 0;
  bool refused = false;
};
reading read_all(std::span<const std::byte> stream, std::size_t piece = std::size_t{1} << 15) {
  frame_reader in;
  reading result;
  try {
    while (!stream.empty()) {
      const auto now = std::min(piece, stream.size());
      in.feed(stream.first(now));
      stream = stream.subspan(now);
      while (in.next()) ++result.frames;
    }
  } catch (const serialization_error&) {
    result.refused = true;
  } catch (const std::length_error&) {  // nothing can be fed behind a frame that waits for more
  }
  return result;
}

}  // namespace

TEST_CASE("D4: frames of all sizes come whole, whatever pieces they arrive in") {
  const auto stream = framed_all(sizes);
  for (const std::size_t piece : {1U, 1000U, 4096U, 30'000U}) {
    frame_reader in;
    std::vector<lenskit::detail::frame> frames;  // compared at the end: none may share memory with another
    for (auto rest = std::span<const std::byte>(stream); !rest.empty();) {
      const auto now = std::min(piece, rest.size());
      try {
        in.feed(rest.first(now));
      } catch (const std::length_error&) {  // only as much as the frame in hand still needs has room
        in.feed(rest.first(1));
        rest = rest.subspan(1);
        while (auto next = in.next()) frames.push_back(std::move(*next));
        continue;
      }
      rest = rest.subspan(now);
      while (auto next = in.next()) frames.push_back(std::move(*next));
    }
    REQUIRE(frames.size() == sizes.size());
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      INFO("frame " << i << " in pieces of " << piece);
      CHECK(std::ranges::equal(frames[i].payload.bytes(), payload_of(sizes[i])));
    }
  }
}

TEST_CASE("D4: frames of all sizes come whole over a connection") {
  auto ends = lenskit::detail::make_stream();
  const std::jthread other_side([to = std::move(ends.second), stream = framed_all(sizes)]() mutable {
    std::array<iovec, 1> parts{iovec{stream.data(), stream.size()}};
    lenskit::detail::send_all(to.get(), parts);
    to.reset();
  });
  frame_reader in;
  std::vector<lenskit::detail::frame> frames;
  while (in.receive(ends.first.get(), lenskit::detail::blocking::wait).state == lenskit::detail::transfer::end::more) {
    while (auto next = in.next()) frames.push_back(std::move(*next));
  }
  REQUIRE(frames.size() == sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    INFO("frame " << i);
    CHECK(std::ranges::equal(frames[i].payload.bytes(), payload_of(sizes[i])));
  }
}

TEST_CASE("D4: a frame that promises more than any may have is refused before anything is allocated") {
  for (const std::uint64_t length : {std::uint64_t{1} << 63, ~std::uint64_t{0}, frame_reader::default_longest + 1}) {
    const auto header = forged_header(length);
    frame_reader in;
    in.feed(std::as_bytes(std::span(&header, 1)));
    const auto message = lenskit::tests::message_of<serialization_error>([&] { std::ignore = in.next(); });
    CHECK(lenskit::tests::mentions(message, {std::to_string(length), "bytes"}));
  }
  frame_reader strict(1000);
  strict.feed(framed(0, 1001));
  CHECK_THROWS_AS(strict.next(), serialization_error);
}

TEST_CASE("D5: a frame with any one bit turned over is refused") {
  const std::size_t size = GENERATE(0U, 1U, 40U, 300U);
  auto stream = framed(0, size);
  REQUIRE(read_all(stream).frames == 1);
  // What follows must not make up for a length that was turned into a larger one.
  const auto more = framed(1, 200'000);
  const std::size_t bits = stream.size() * 8;
  stream.insert(stream.end(), more.begin(), more.end());
  std::size_t accepted = 0;
  for (std::size_t bit = 0; bit < bits; ++bit) {
    const auto mask = static_cast<std::byte>(1U << (bit % 8));
    stream[bit / 8] ^= mask;
    const auto result = read_all(stream);
    accepted += result.frames != 0 || !result.refused;
    stream[bit / 8] ^= mask;
  }
  CHECK(accepted == 0);
  CHECK(read_all(stream).frames == 2);
}

TEST_CASE("D5: a stream that is cut off anywhere gives the whole frames before it, and no more") {
  auto stream = framed(0, 50);
  const auto first = stream.size();
  const auto second = framed(1, 0);
  stream.insert(stream.end(), second.begin(), second.end());
  const auto both = stream.size();
  const auto third = framed(2, 30);
  stream.insert(stream.end(), third.begin(), third.end());
  for (std::size_t end = 0; end < stream.size(); ++end) {
    const auto result = read_all(std::span(stream).first(end), 7);
    REQUIRE(result.frames == (end < first ? 0 : end < both ? 1 : 2));
    REQUIRE_FALSE(result.refused);
  }
  CHECK(read_all(stream, 1).frames == 3);
}

TEST_CASE("D5: bytes too many, and frames that are left out, repeated or swapped, are noticed") {
  const auto joined = [](std::initializer_list<bytes> parts) {
    bytes all;
    for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
  };
  const auto zero = framed(0, 20), one = framed(1, 20), two = framed(2, 20);
  for (const auto& stream : {joined({zero, payload_of(1), one}), joined({zero, two}), joined({zero, zero}),
                             joined({zero, two, one}), joined({zero, bytes(64)})}) {
    const auto result = read_all(stream);
    CHECK(result.frames == 1);
    CHECK(result.refused);
  }
}

#ifndef __SANITIZE_THREAD__
namespace {

// In a worker: its connection to the parent, the only stream that the library left open.
int own_stream() {
  for (int fd = 3; fd < 256; ++fd) {
    int type = 0;
    socklen_t size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM) return fd;
  }
  return -1;
}

void send_to_parent(std::span<const std::byte> what) { std::ignore = write(own_stream(), what.data(), what.size()); }

}  // namespace

TEST_CASE("D5: a worker that sends nonsense is ended and costs its task alone, at once", "[no_tsan]") {
  static void (*const nonsense[])() = {
      [] { send_to_parent(std::as_bytes(std::span("this is no frame, and long enough to have a header"))); },
      [] { send_to_parent(bytes(4096)); },
      [] {
        const auto header = forged_header(std::uint64_t{1} << 63);
        send_to_parent(std::as_bytes(std::span(&header, 1)));
      },
      [] {
        auto whole = framed(0, 100);
        whole[60] ^= std::byte{4};
        send_to_parent(whole);
      },
      [] { send_to_parent(framed(77, 10)); },
      [] { send_to_parent(framed(0, 10)); },  // sound, but no message that makes sense
  };
  const auto which = GENERATE(range(0, 6));
  INFO("nonsense " << which);
  auto options = on(lenskit::engine::processes);
  options.chunk_size = 1;
  invoker inv(
      0,
      [which](int, int x) {
        if (x != 3) return x;
        nonsense[which]();
        std::this_thread::sleep_for(std::chrono::seconds(60));
        return -1;
      },
      options);
  const auto start = std::chrono::steady_clock::now();
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 20))) {
    INFO("index " << index);
    REQUIRE(each.has_value() == (index != 3));
    if (each.has_error()) CHECK_THROWS_AS(each.value(), worker_died);
    if (each.has_value()) CHECK(*each == index);
    ++index;
  }
  CHECK(index == 20);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(2));
}
#endif
