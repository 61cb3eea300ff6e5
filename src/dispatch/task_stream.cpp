#include <lenskit/detail/dispatch/task_stream.hpp>
#include <lenskit/detail/os/message_block.hpp>
#include <lenskit/detail/wire/exception.hpp>
#include <lenskit/progress.hpp>

#include <algorithm>
#include <limits>
#include <utility>

namespace lenskit::detail {
namespace {

constexpr std::uint32_t growth = 8;  // of a chunk against the one before: the first measurements are rough
// With what stands in front of them, arguments fit into the buffer of the frame reader, and results that are as large
// into one message.
constexpr std::size_t argument_bytes_per_chunk = std::size_t{56} << 10;

// What a failure of the pool itself looks like to the consumer.
std::exception_ptr cancelled(std::uint64_t index) {
  task_failure failure;
  failure.index = static_cast<std::size_t>(index);
  return std::make_exception_ptr(task_cancelled(std::move(failure)));
}

}  // namespace

task_stream::task_stream(std::shared_ptr<dispatcher> pool, std::unique_ptr<task_source> source, call_plan plan,
                         stream_options options)
    : pool_(std::move(pool)),
      source_(std::move(source)),
      options_(std::move(options)),
      call_(pool_->open(std::move(plan))) {}

task_stream::~task_stream() {
  pool_->abandon(*call_);
  parts_.clear();
  free_large_kept_blocks();
}

std::span<descriptor> task_stream::attachments() noexcept {
  if (parts_.empty()) return {};
  // Those of earlier values have been taken.
  auto& all = part().attached;
  const auto first =
      std::find_if(all.begin(), all.end(), [](const descriptor& each) { return static_cast<bool>(each); });
  return std::span(all).subspan(static_cast<std::size_t>(first - all.begin()));
}

void task_stream::feed() {
  pool_->check_caller();  // a forked process that goes on with the range would take what is meant for its parent (U1)
  refill_at_ = yielded_ + std::max<std::uint64_t>(last_chunk_ / 2, 1);
  while (!input_ended()) {
    // Asked for each chunk: to feed many workers takes longer than the first results do, from which another thread
    // learns meanwhile.
    const auto advice = pool_->advise(*call_);
    const bool limited = options_.buffer_size != 0;
    // A call with nothing in the pool has to queue up, however busy others keep the workers: its caller is about to
    // wait.
    const bool must = pulled_ == yielded_;
    if (advice.finished || (!limited && !must && (!advice.hungry || advice.window_full))) break;
    const auto tasks = next_chunk_tasks(advice);
    if (tasks == 0 || !submit_chunk(tasks)) break;
  }
  if (input_ended()) refill_at_ = std::numeric_limits<std::uint64_t>::max();  // there is nothing to feed
  show_progress();
}

// Goes to the next value of the run. So many of those behind it follow without a look at anything, since keeping
// several counters for each would take longer than the shortest tasks.
task_stream::step task_stream::go_straight() noexcept {
  const auto until_refill = std::max<std::uint64_t>(refill_at_ - std::min(refill_at_, yielded_), 1);
  const auto values = static_cast<std::uint32_t>(std::min<std::uint64_t>(until_refill, run_left_));
  run_left_ -= values;
  index_ += values;
  yielded_ += values;
  straight_ = values - 1;
  return step::value;
}

// 0 if the window has no room for a chunk that is worth sending.
std::uint32_t task_stream::next_chunk_tasks(const feeding_advice& advice) const {
  std::uint64_t tasks = advice.chunk_tasks;
  if (last_chunk_ != 0) tasks = std::min<std::uint64_t>(tasks, std::uint64_t{last_chunk_} * growth);
  constexpr std::uint64_t for_each = 2;  // chunks
  // Towards the end of an input whose length is known, smaller chunks let the workers finish together.
  if (const auto left = source_->remaining()) tasks = std::min(tasks, *left / (for_each * pool_->at_once()));
  const auto in_window = pulled_ - yielded_;
  if (options_.buffer_size != 0) {
    tasks = std::min(tasks, options_.buffer_size / (for_each * static_cast<std::uint64_t>(pool_->workers())));
  }
  if (options_.chunk_size != 0) tasks = options_.chunk_size;
  tasks = std::clamp<std::uint64_t>(tasks, 1, std::numeric_limits<std::uint32_t>::max());
  if (options_.buffer_size != 0) {
    const auto room = options_.buffer_size - std::min<std::uint64_t>(in_window, options_.buffer_size);
    if (room < tasks) tasks = in_window == 0 ? room : 0;
  }
  return static_cast<std::uint32_t>(tasks);
}

// False if there was nothing left to submit.
bool task_stream::submit_chunk(std::uint32_t tasks) {
  writer into;
  into.reserve(std::min(source_->record_bytes() != 0 ? tasks * source_->record_bytes() : argument_guess_,
                        argument_bytes_per_chunk));
  auto pulled = source_->pull(into, tasks, argument_bytes_per_chunk);
  if (pulled.count > 0) {
    argument_guess_ = into.size() + into.size() / 8;
    auto arguments = std::make_shared<encoded_arguments>();
    arguments->record_bytes = source_->record_bytes();
    arguments->block = into.release();
    // After a shutdown what was submitted before is delivered, and nothing behind it.
    if (!pool_->submit(call_, pulled_, pulled.count, std::move(arguments))) return false;
    pulled_ += pulled.count;
    last_chunk_ = pulled.count;
  }
  exhausted_ = pulled.exhausted;
  input_failure_ = pulled.input_failure;
  if (pulled.task_failure) pool_->submit_failed(call_, pulled_++, std::move(pulled.task_failure));
  return pulled.count > 0 || pulled.task_failure;
}

// Waits for outcomes; false if none are outstanding.
bool task_stream::take() {
  try {
    return pool_->take(*call_, parts_);
  } catch (...) {  // the pool was shut down: there is nothing more to come
    ended_ = true;
    throw;
  }
}

task_stream::step task_stream::next_run() {
  if (ended_) return step::end;
  for (;;) {
    if (repeat_failure_ > 0) {
      --repeat_failure_;
      return fail(part().cancelled ? cancelled(next_index_) : part().failure);
    }
    if (part_left_ == 0) {
      if (part_open_) end_part();
      if (parts_.empty()) {
        feed();
        if (!take()) return end_of_input();
        show_progress();
      }
      begin_part();
      continue;
    }
    return begin_run();
  }
}

void task_stream::begin_part() {
  const auto& opened = part();
  part_open_ = true;
  next_index_ = opened.first_index;
  if (opened.failure || opened.cancelled) {
    repeat_failure_ = opened.count;
    part_left_ = 0;
    return;
  }
  part_left_ = opened.count;
  bytes_ = reader(opened.runs());
}

void task_stream::end_part() noexcept {
  part_open_ = false;
  part() = {};  // its memory is wanted for what comes
  if (++part_ < parts_.size()) return;
  parts_.clear();
  part_ = 0;
}

task_stream::step task_stream::begin_run() {
  try {
    const auto head = bytes_.get<run_head>("a run of results");
    if (head.count == 0) return next_run();
    if (head.count > part_left_) throw serialization_error("corrupt results: a run is longer than its message");
    part_left_ -= head.count;
    if (head.kind == run_kind::failure) {
      return fail(decode_exception(bytes_, static_cast<std::size_t>(next_index_), part().worker_pid));
    }
    run_left_ = head.count - 1;
    index_ = next_index_;
    next_index_ += head.count;
    ++yielded_;
    return step::value;
  } catch (const serialization_error&) {  // what a dying worker left behind may be damaged: the rest of it is lost
    part().failure = std::current_exception();
    repeat_failure_ = std::exchange(part_left_, 0);
    return next_run();
  }
}

void task_stream::spoil(std::exception_ptr why) noexcept {
  failure_ = why;
  if (parts_.empty()) return;
  part().failure = std::move(why);
  index_ -= straight_;
  yielded_ -= straight_;
  repeat_failure_ = std::exchange(straight_, 0) + run_left_ + part_left_;
  next_index_ = index_ + 1;
  run_left_ = part_left_ = 0;
}

task_stream::step task_stream::fail(std::exception_ptr why) {
  index_ = next_index_++;
  ++yielded_;
  failure_ = std::move(why);
  return step::failure;
}

// All that was submitted has been yielded. What ends a call before its input does is no task's outcome: it is thrown.
task_stream::step task_stream::end_of_input() {
  ended_ = true;
  show_progress();
  if (input_failure_) std::rethrow_exception(input_failure_);
  if (exhausted_) return step::end;
  pool_->throw_if_finished();
  std::rethrow_exception(cancelled(pulled_));
}

void task_stream::show_progress() {
  if (!options_.progress) return;
  const auto now = pool_->counts(*call_);
  // Tasks that go back to the queue when their worker dies stay "in-progress": each moves on only once.
  const auto moved = [&](std::uint64_t& before, std::uint64_t after, const char* to, const char* from) {
    if (after <= before) return;
    const auto tasks = static_cast<int>(after - std::exchange(before, after));
    try {
      options_.progress->update(tasks, to, from);
    } catch (...) {  // the user's own, and no reason to lose results
    }
  };
  moved(shown_.dispatched, now.submitted, "dispatched", "");
  moved(shown_.started, now.started, "in-progress", "dispatched");
  moved(shown_.finished, std::min(now.started, now.settled), "finished", "in-progress");
}

}  // namespace lenskit::detail
