#include <lenskit/detail/dispatch/window.hpp>

#include <algorithm>
#include <utility>

namespace lenskit::detail {

bool window::has_outcomes() const noexcept {
  if (order_ == result_order::of_completion) return !ready_.empty();
  return !chunks_.empty() && !chunks_.front()->parts.empty();
}

void window::add(std::shared_ptr<chunk> work) noexcept {
  submitted_ += work->count;
  held_bytes_ += work->argument_bytes.size();
  chunks_.push_back(std::move(work));
}

void window::split(chunk& from, std::uint32_t position, std::shared_ptr<chunk> rest) noexcept {
  split_chunk(from, position, *rest);
  if (chunks_.contains(from)) chunks_.insert(&from, std::move(rest));
}

void window::settle(const std::shared_ptr<chunk>& of, outcome_list part) noexcept {
  auto& added = part.front();
  added.first_index = of->first_index + of->settled;
  of->settled += added.count;
  settled_ += added.count;
  if (abandoned_ || added.count == 0) return;
  held_bytes_ += added.payload.size();
  of->parts.splice(of->parts.end(), part, part.begin());
  if (order_ == result_order::of_completion && !ready_.contains(*of)) ready_.push_back(of);
}

void window::fail(const std::shared_ptr<chunk>& of, const std::exception_ptr& failure) noexcept {
  if (of->done()) return;
  auto& part = of->room.front();
  part.count = of->unsettled();
  part.failure = failure;
  part.cancelled = failure == nullptr;
  settle(of, std::move(of->room));
}

void window::take(outcome_list& taken) noexcept {
  if (order_ == result_order::of_completion) {
    while (!ready_.empty()) take_from(*ready_.pop_front(), taken);
  } else {
    while (has_outcomes() && take_from(*chunks_.front(), taken)) continue;
  }
}

// Whether that was the last of it.
bool window::take_from(chunk& from, outcome_list& taken) noexcept {
  for (const auto& part : from.parts) held_bytes_ -= std::min(held_bytes_, part.payload.size());
  taken.splice(taken.end(), from.parts);
  if (!from.done()) return false;
  held_bytes_ -= std::min(held_bytes_, from.argument_bytes.size());
  chunks_.remove(from);
  return true;
}

void window::abandon() noexcept {
  abandoned_ = true;
  ready_.clear();
  chunks_.clear();
  held_bytes_ = 0;
}

}  // namespace lenskit::detail
