#include <lenskit/detail/log/worker_logging.hpp>
#include <lenskit/detail/os/message_block.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/wire/reader.hpp>
#include <lenskit/detail/worker/socket_link.hpp>
#include <lenskit/error.hpp>

#include <fmt/format.h>

#include <array>
#include <tuple>
#include <utility>

namespace lenskit::detail {

std::optional<tasks_message> socket_link::next() {
  if (queue_.size() == 1) receive(blocking::dont_wait);  // while it runs, more can be on its way
  while (queue_.empty()) {
    if (closed_) return std::nullopt;
    if (keeps_large_blocks() && !more_comes_soon()) free_large_kept_blocks();
    receive(blocking::wait);
  }
  auto message = std::move(queue_.front());
  queue_.erase(queue_.begin());
  return message;
}

bool socket_link::send(const results_head& head, std::span<const std::byte> runs,
                       std::span<const descriptor> attached) {
  frame_header header;
  std::array<iovec, 3> parts{iovec{&header, sizeof header}, iovec{const_cast<results_head*>(&head), sizeof head},
                             iovec{const_cast<std::byte*>(runs.data()), runs.size()}};
  header = make_frame_header(static_cast<std::uint8_t>(message::results), sequence_++, std::span(parts).subspan(1),
                             attached.size());
  std::vector<int> numbers;
  numbers.reserve(attached.size());
  for (const auto& each : attached) numbers.push_back(each.get());
  return send_all(stream_.get(), parts, numbers);
}

bool socket_link::more_comes_soon() const noexcept {
  constexpr int soon_ms = 100;
  pollfd more{stream_.get(), POLLIN, 0};
  return sys::poll(&more, 1, soon_ms) != 0;
}

void socket_link::receive(blocking mode) {
  for (;;) {
    const auto result = incoming_.receive(stream_.get(), mode);
    if (result.state == transfer::end::closed) closed_ = true;
    if (result.state != transfer::end::more) return;
    bool got_one = false;
    while (auto message = incoming_.next()) {
      take(std::move(*message));
      got_one = true;
    }
    if (got_one && mode == blocking::wait) return;
  }
}

void socket_link::take(frame message) {
  if (message.missing != 0)
    throw serialization_error(
        fmt::format("no memory for a message of {} bytes", message.payload.size() + message.missing));
  reader in(message.payload.bytes());
  switch (static_cast<detail::message>(message.type)) {
    case message::tasks: {
      const auto head = in.get<tasks_head>("a tasks message");
      std::ignore = in.take(head.seed_bytes, "the seed of a map call");
      queue_.push_back({head, std::move(message.payload)});
      break;
    }
    case message::levels: {
      const auto text = in.rest();
      apply_levels({reinterpret_cast<const char*>(text.data()), text.size()});
      break;
    }
    case message::results: break;  // only workers send these
  }
}

}  // namespace lenskit::detail
