// How some consecutive tasks ended: the results as they came, or one failure of them all.
#pragma once

#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/wire/frame.hpp>

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <list>
#include <span>
#include <vector>

namespace lenskit::detail {

/// Runs as a worker wrote them, or a failure that the parent made.
struct outcome_part {
  std::uint64_t first_index = 0;
  std::uint32_t count = 0;
  std::uint32_t skip = 0;   ///< outcomes in front of these in the runs, which have come by another way
  byte_buffer payload{};    ///< what the runs came in
  std::size_t runs_at = 0;  ///< where in it they begin
  std::vector<descriptor> attached{};
  std::exception_ptr failure{};  ///< if set, of every task covered
  bool cancelled = false;        ///< no task covered was run, because a stop was requested
  pid_t worker_pid = 0;

  [[nodiscard]] std::span<const std::byte> runs() const noexcept { return payload.bytes().subspan(runs_at); }
};

/// Parts in a list, so that they change hands under a lock without memory being asked for.
using outcome_list = std::list<outcome_part>;

}  // namespace lenskit::detail
