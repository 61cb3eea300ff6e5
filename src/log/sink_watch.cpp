#include <lenskit/detail/log/sink_watch.hpp>

#include <algorithm>
#include <bit>
#include <utility>

namespace lenskit::detail {
namespace {

using namespace std::chrono_literals;

constexpr auto patience_when_full = 500ms;  // less than what workers have
// What is starved of processors for a moment, and looks seldom, does not hang.
constexpr steady::duration most_between_looks = 20ms;

}  // namespace

void sink_watch::note_slow(steady::time_point now) noexcept {
  slow_ = true;
  slow_since_ = now - patience;
}

bool sink_watch::look(steady::time_point now, std::uint64_t delivered) noexcept {
  stuck_for_ += std::min<steady::duration>(now - std::exchange(looked_at_, now), most_between_looks);
  if (std::exchange(delivered_then_, delivered) != delivered) stuck_for_ = {};
  hanging_ = stuck_for_ >= patience_when_full;
  if (hanging_ && !slow_) note_slow(now);
  return hanging_;
}

std::optional<steady::duration> sink_watch::catch_up(steady::time_point now) noexcept {
  hanging_ = false;
  if (!slow_.exchange(false) || !std::has_single_bit(++times_slow_)) return std::nullopt;
  return now - slow_since_;
}

}  // namespace lenskit::detail
