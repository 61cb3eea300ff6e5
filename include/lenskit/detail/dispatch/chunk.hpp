// A chunk: tasks that travel together, what has become of them, and the failures and results as they came.
#pragma once

#include <lenskit/detail/wire/frame.hpp>
#include <lenskit/detail/wire/message.hpp>
#include <lenskit/detail/wire/writer.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <vector>

namespace lenskit::detail {

class call_state;

/// How some consecutive tasks of a chunk ended: runs as a worker wrote them, or a failure that the parent made.
struct outcome_part {
  std::uint64_t first_index = 0;
  std::uint32_t count = 0;
  byte_buffer payload{};    ///< the results message the runs came in
  std::size_t runs_at = 0;  ///< where in it the runs begin
  std::vector<descriptor> attached{};
  std::exception_ptr failure{};  ///< if set, of every task covered
  bool cancelled = false;        ///< no task covered was run, because a stop was requested
  pid_t worker_pid = 0;

  [[nodiscard]] std::span<const std::byte> runs() const noexcept { return payload.bytes().subspan(runs_at); }
};

/// The encoded arguments of consecutive tasks. Several chunks share one after a split.
struct encoded_arguments {
  byte_block block;
  std::size_t record_bytes = 0;  ///< of each task; 0: each is preceded by its 64-bit length
};

/// Written only under the dispatcher's lock, but for `arguments`, which never change.
struct chunk {
  std::uint64_t id = 0;  ///< unique in the pool, never 0
  std::shared_ptr<call_state> call;
  std::uint64_t first_index = 0;
  std::uint32_t count = 0;
  std::shared_ptr<const encoded_arguments> arguments;
  std::span<const std::byte> argument_bytes;  ///< this chunk's part of them
  std::uint32_t settled = 0;                  ///< tasks whose outcome is known: always the first ones
  int deaths = 0;                             ///< workers that the first unsettled task has killed
  int worker = -1;                            ///< that has it; -1: none
  std::uint16_t send_every_us = 0;            ///< results come back about this often
  bool recalled = false;

  std::vector<outcome_part> parts;  ///< outcomes not yet taken by the consumer

  [[nodiscard]] std::uint32_t unsettled() const noexcept { return count - settled; }
  [[nodiscard]] bool done() const noexcept { return settled == count; }
};

/// Where in `arguments` the task `position` tasks behind the start of `bytes` begins. Throws serialization_error.
[[nodiscard]] std::size_t argument_offset(std::span<const std::byte> bytes, std::size_t record_bytes,
                                          std::uint32_t position);

}  // namespace lenskit::detail
