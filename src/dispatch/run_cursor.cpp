#include <lenskit/detail/dispatch/run_cursor.hpp>
#include <lenskit/detail/wire/exception.hpp>
#include <lenskit/detail/wire/message.hpp>
#include <lenskit/error.hpp>

#include <algorithm>

namespace lenskit::detail {
namespace {

// What the end of the pool looks like to a task that was not run.
std::exception_ptr cancelled(std::uint64_t index) {
  task_failure failure;
  failure.index = static_cast<std::size_t>(index);
  return std::make_exception_ptr(task_cancelled(std::move(failure)));
}

}  // namespace

void run_cursor::set_out(std::uint64_t most) noexcept {
  const auto values = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(most, 1, run_left_));
  run_left_ -= values;
  index_ += values;
  passed_ += values;
  straight_ = values - 1;
}

run_cursor::step run_cursor::advance() {
  for (;;) {
    if (repeat_failure_ > 0) {
      auto why = part().cancelled ? cancelled(next_index_) : part().failure;
      --repeat_failure_;
      return fail(std::move(why));
    }
    if (part_left_ == 0) {
      if (part_open_) end_part();
      if (parts_.empty()) return step::dry;
      begin_part();
      continue;
    }
    try {
      if (begin_run()) return failure_ ? step::failure : step::value;
    } catch (const serialization_error&) {  // what a dying worker left behind may be damaged: the rest of it is lost
      part().failure = std::current_exception();
      part_left_ -= std::exchange(skip_left_, 0);
      repeat_failure_ = std::exchange(part_left_, 0);
    }
  }
}

void run_cursor::begin_part() {
  const auto& opened = part();
  part_open_ = true;
  next_index_ = opened.first_index;
  if (opened.failure || opened.cancelled) {
    repeat_failure_ = opened.count;
    return;
  }
  skip_left_ = opened.skip;
  part_left_ = opened.count + opened.skip;
  bytes_ = reader(opened.runs());
}

void run_cursor::end_part() noexcept {
  part_open_ = false;
  parts_.pop_front();  // its memory is wanted for what comes
}

// False if all of the run had come before. Leaves the cursor where it was if it throws std::bad_alloc.
bool run_cursor::begin_run() {
  const auto at = bytes_;
  failure_ = nullptr;
  const auto head = bytes_.get<run_head>("a run of results");
  if (head.count == 0) return false;
  if (head.count > part_left_) throw serialization_error("corrupt results: a run is longer than its message");
  if (head.kind == run_kind::failure) {
    std::exception_ptr thrown;
    try {
      thrown = decode_exception(bytes_, static_cast<std::size_t>(next_index_), part().worker_pid);
    } catch (const std::bad_alloc&) {
      bytes_ = at;
      throw;
    }
    --part_left_;
    if (skip_left_ > 0) {
      --skip_left_;
      return false;
    }
    fail(std::move(thrown));
    return true;
  }
  const auto skipped = std::min(skip_left_, head.count);
  pass_over(skipped);
  part_left_ -= head.count;
  skip_left_ -= skipped;
  if (skipped == head.count) return false;
  run_left_ = head.count - skipped - 1;
  index_ = next_index_;
  next_index_ += head.count - skipped;
  ++passed_;
  return true;
}

void run_cursor::pass_over(std::uint32_t values) {
  if (value_bytes_ != 0) {
    std::ignore = bytes_.take(values * value_bytes_, "results");
    return;
  }
  for (; values > 0; --values) {
    std::ignore = bytes_.take(bytes_.get<std::uint64_t>("the length of a result"), "a result");
  }
}

run_cursor::step run_cursor::fail(std::exception_ptr why) noexcept {
  index_ = next_index_++;
  ++passed_;
  failure_ = std::move(why);
  return step::failure;
}

std::span<descriptor> run_cursor::attachments() noexcept {
  // A value with descriptors is the last of its message, and the only one with any.
  if (parts_.empty() || run_left_ > 0 || straight_ > 0 || part_left_ > 0) return {};
  return part().attached;
}

void run_cursor::spoil(std::exception_ptr why) noexcept {
  failure_ = why;
  if (parts_.empty()) return;
  part().failure = std::move(why);
  index_ -= straight_;
  passed_ -= straight_;
  repeat_failure_ = std::exchange(straight_, 0) + run_left_ + part_left_;
  next_index_ = index_ + 1;
  run_left_ = part_left_ = 0;
}

}  // namespace lenskit::detail
