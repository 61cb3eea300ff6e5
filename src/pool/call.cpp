#include <lenskit/detail/pool/call.hpp>

namespace lenskit::detail {

void call_state::learn(std::uint32_t count, std::int64_t elapsed_ns, std::size_t bytes) noexcept {
  if (count == 0) return;
  const double ns = static_cast<double>(elapsed_ns) / count;
  // The newest observation counts half: tasks change slowly, but the first ones run on cold memory.
  task_ns = task_ns ? (*task_ns + ns) / 2 : ns;
  result_bytes = (result_bytes + static_cast<double>(bytes) / count) / 2;
}

bool call_state::has_outcomes() const noexcept {
  if (plan.order == result_order::of_completion) return !ready.empty();
  return !window.empty() && !window.begin()->second->parts.empty();
}

}  // namespace lenskit::detail
