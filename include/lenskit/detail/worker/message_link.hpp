// What a worker hears and says, whatever carries it: a socket to the parent, or another process in between.
#pragma once

#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/wire/frame.hpp>
#include <lenskit/detail/wire/message.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace lenskit::detail {

/// Tasks to be run.
struct tasks_message {
  tasks_head head;
  byte_buffer payload;  ///< head, seed, arguments
  [[nodiscard]] std::span<const std::byte> seed() const noexcept {
    return payload.bytes().subspan(sizeof head, head.seed_bytes);
  }
  [[nodiscard]] std::span<const std::byte> arguments() const noexcept {
    return payload.bytes().subspan(sizeof head + head.seed_bytes);
  }
};

/// Used by the worker's thread only.
class message_link {
 public:
  virtual ~message_link() = default;
  /// The next tasks; waits for them. Nothing once the other side has closed the link. Throws serialization_error if
  /// what comes makes no sense, std::bad_alloc.
  [[nodiscard]] virtual std::optional<tasks_message> next() = 0;
  /// Whether `next` is going to wait, as far as is known.
  [[nodiscard]] virtual bool drained() const noexcept = 0;
  /// Sends results, however long that takes; false if nobody wants them any more.
  [[nodiscard]] virtual bool send(const results_head& head, std::span<const std::byte> runs,
                                  std::span<const descriptor> attached) = 0;
};

}  // namespace lenskit::detail
