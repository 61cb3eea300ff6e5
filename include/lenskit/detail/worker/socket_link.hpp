// A link to the parent over a stream.
#pragma once

#include <lenskit/detail/os/channel.hpp>
#include <lenskit/detail/wire/frame.hpp>
#include <lenskit/detail/worker/message_link.hpp>

#include <cstdint>
#include <vector>

namespace lenskit::detail {

class socket_link final : public message_link {
 public:
  explicit socket_link(descriptor stream) : stream_(std::move(stream)) {}

  [[nodiscard]] std::optional<tasks_message> next() override;
  [[nodiscard]] bool drained() const noexcept override { return queue_.empty(); }
  [[nodiscard]] bool send(const results_head& head, std::span<const std::byte> runs,
                          std::span<const descriptor> attached) override;

 private:
  [[nodiscard]] bool more_comes_soon() const noexcept;
  void receive(blocking mode);
  void take(frame message);

  descriptor stream_;
  frame_reader incoming_;
  std::vector<tasks_message> queue_;
  std::uint64_t sequence_ = 0;
  bool closed_ = false;
};

}  // namespace lenskit::detail
