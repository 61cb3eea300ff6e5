#include <lenskit/detail/dispatch/pace.hpp>
#include <lenskit/detail/engines/harvest_watch.hpp>

namespace lenskit::detail {

void harvest_watch::note_given(steady::time_point now) noexcept {
  const auto due = due_at();
  if (due == steady::time_point::max() || due <= now) due_at_ = now + pace::harvest_after;
}

void harvest_watch::note_sent(steady::time_point now) noexcept { due_at_ = now + pace::harvest_after; }

bool harvest_watch::wants_proof_of_life() noexcept {
  constexpr unsigned looks_between = 64;
  return ++looks_ % looks_between == 0;
}

}  // namespace lenskit::detail
