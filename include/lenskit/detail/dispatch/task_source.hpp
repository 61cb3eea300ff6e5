// The inputs of a map call, as the stream sees them: without types.
#pragma once

#include <lenskit/detail/wire/writer.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>

namespace lenskit::detail {

/// What a pull from the inputs brought.
struct pulled_tasks {
  std::uint32_t count = 0;
  bool exhausted = false;
  std::exception_ptr input_failure{};  ///< thrown by the input range behind these tasks
  std::exception_ptr task_failure{};   ///< the arguments of the task behind these could not be encoded
};

/// The inputs of a map call, encoded on demand. Used by the consumer's thread only.
class task_source {
 public:
  virtual ~task_source() = default;
  /// Encodes up to `most` tasks, and no further than `most_bytes` but for the first.
  virtual pulled_tasks pull(writer& into, std::uint32_t most, std::size_t most_bytes) = 0;
  /// Bytes of one encoded task; 0 if they differ.
  [[nodiscard]] virtual std::size_t record_bytes() const noexcept = 0;
  /// How many tasks are left, where the inputs know.
  [[nodiscard]] virtual std::optional<std::uint64_t> remaining() const = 0;
};

}  // namespace lenskit::detail
