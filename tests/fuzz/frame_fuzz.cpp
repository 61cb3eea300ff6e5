// libFuzzer: any bytes on a stream are frames or a serialization_error, and a frame that was changed on the way never
// gets through (failure D5, goal G14).
#include <lenskit/detail/wire/frame.hpp>
#include <lenskit/error.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

namespace {

namespace d = lenskit::detail;
using bytes = std::vector<std::byte>;

constexpr std::uint64_t longest = 1U << 20;

// Cuts the input into payloads and makes a stream of right frames of them.
struct stream {
  std::vector<bytes> payloads;
  bytes data;

  explicit stream(std::span<const std::byte> input) {
    while (!input.empty()) {
      const auto length = std::min(static_cast<std::size_t>(input[0]) * 8, input.size() - 1);
      const auto body = input.subspan(1, length);
      const iovec part{const_cast<std::byte*>(body.data()), body.size()};
      const auto header = d::make_frame_header(static_cast<std::uint8_t>(length), payloads.size(), {&part, 1});
      const auto* raw = reinterpret_cast<const std::byte*>(&header);
      data.insert(data.end(), raw, raw + sizeof header);
      data.insert(data.end(), body.begin(), body.end());
      payloads.emplace_back(body.begin(), body.end());
      input = input.subspan(1 + length);
    }
  }
};

// Feeds `data` in slices and returns the payloads that came out before the end or the first error.
std::vector<bytes> read(std::span<const std::byte> data, std::size_t slice, bool& refused) {
  std::vector<bytes> received;
  d::frame_reader reader(longest);
  try {
    while (!data.empty()) {
      const auto now = data.first(std::min(slice, data.size()));
      reader.feed(now);
      data = data.subspan(now.size());
      while (const auto frame = reader.next())
        received.emplace_back(frame->payload.bytes().begin(), frame->payload.bytes().end());
    }
  } catch (const lenskit::serialization_error&) {
    refused = true;
  }
  return received;
}

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t head = 5;
  if (size < head) return 0;
  const auto input = std::as_bytes(std::span(data, size)).subspan(head);
  const std::size_t slice = std::size_t{data[1]} + 1;
  bool refused = false;
  if (data[0] % 4 == 0) {  // as they are
    static_cast<void>(read(input, slice, refused));
    return 0;
  }
  stream sent(input);
  if (data[0] % 4 == 1 || sent.data.empty()) {  // right frames arrive, however they are cut
    require(read(sent.data, slice, refused) == sent.payloads && !refused);
    return 0;
  }
  // One bit is flipped: what comes before it arrives, and nothing else does.
  std::uint16_t where = 0;
  std::memcpy(&where, data + 2, sizeof where);
  sent.data[where % sent.data.size()] ^= std::byte{1} << (data[4] % 8);
  const auto received = read(sent.data, slice, refused);
  require(received.size() < sent.payloads.size());
  require(std::equal(received.begin(), received.end(), sent.payloads.begin()));
  return 0;
}
