// One map call as the dispatcher sees it: its tasks' code and seed, what it has out, and how its tasks run.
#pragma once

#include <lenskit/detail/dispatch/pace.hpp>
#include <lenskit/detail/dispatch/window.hpp>

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <utility>

namespace lenskit::detail {

/// The part of a map call that workers, the dispatcher and the consumer share. Guarded by the dispatcher's lock, but
/// for `plan`.
class call_state {
 public:
  /// `at_once`: workers of the pool that can run at the same time.
  call_state(call_plan fixed, std::size_t at_once) : plan(std::move(fixed)), pace(at_once), out(plan.order) {}

  const call_plan plan;
  task_pace pace;
  window out;
  bool abandoned = false;
  std::size_t waiting = 0;    ///< chunks not given to a worker yet
  std::uint64_t started = 0;  ///< tasks given to a worker, at least once
};

/// The calls that live, in a list so that one joins and leaves without memory being asked for under the lock.
using call_list = std::list<std::shared_ptr<call_state>>;

}  // namespace lenskit::detail
