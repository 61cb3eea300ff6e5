#include <lenskit/detail/dispatch/task_stream.hpp>
#include <lenskit/detail/os/cancel_shield.hpp>
#include <lenskit/detail/os/message_block.hpp>
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

}  // namespace

task_stream::task_stream(std::shared_ptr<dispatcher> pool, std::unique_ptr<task_source> source, call_plan plan,
                         stream_options options)
    : pool_(std::move(pool)),
      source_(std::move(source)),
      options_(std::move(options)),
      call_(pool_->open(std::move(plan))),
      at_(options_.result_bytes) {}

task_stream::~task_stream() {
  const cancel_shield shield;
  pool_->abandon(call_);
  at_.clear();
  free_large_kept_blocks();
}

void task_stream::feed(feeder then) {
  pool_->check_caller();  // a forked process that goes on with the range would take what is meant for its parent (U1)
  refill_at_ = at_.passed() + std::max<std::uint64_t>(input_.last_chunk / 2, 1);
  if (input_.task_failure) submit_failure();
  while (!input_ended()) {
    // Asked for each chunk: to feed many workers takes longer than the first results do, from which another thread
    // learns meanwhile.
    const auto advice = pool_->advise(*call_);
    const bool limited = options_.buffer_size != 0;
    // A call with nothing in the pool has to queue up, however busy others keep the workers: its caller is about to
    // wait.
    const bool must = input_.pulled == at_.passed();
    if (advice.finished || (!limited && !must && (!advice.hungry || advice.window_full))) break;
    const auto tasks = next_chunk_tasks(advice);
    if (tasks == 0 || !submit_chunk(tasks, then)) break;
  }
  if (input_ended()) refill_at_ = std::numeric_limits<std::uint64_t>::max();  // there is nothing to feed
  show_progress();
}

// 0 if the window has no room for a chunk that is worth sending.
std::uint32_t task_stream::next_chunk_tasks(const feeding_advice& advice) const {
  std::uint64_t tasks = advice.chunk_tasks;
  if (input_.last_chunk != 0) tasks = std::min<std::uint64_t>(tasks, std::uint64_t{input_.last_chunk} * growth);
  constexpr std::uint64_t for_each = 2;  // chunks
  // Towards the end of an input whose length is known, smaller chunks let the workers finish together.
  if (const auto left = source_->remaining()) tasks = std::min(tasks, *left / (for_each * pool_->at_once()));
  const auto in_window = input_.pulled - at_.passed();
  if (options_.buffer_size != 0) {
    tasks = std::min(tasks, options_.buffer_size / (for_each * static_cast<std::uint64_t>(pool_->workers())));
  }
  if (options_.chunk_size != 0) tasks = options_.chunk_size;
  tasks = std::clamp<std::uint64_t>(tasks, 1, claim::most_tasks);
  if (options_.buffer_size != 0) {
    const auto room = options_.buffer_size - std::min<std::uint64_t>(in_window, options_.buffer_size);
    if (room < tasks) tasks = in_window == 0 ? room : 0;
  }
  return static_cast<std::uint32_t>(tasks);
}

// False if there was nothing left to submit.
bool task_stream::submit_chunk(std::uint32_t tasks, feeder then) {
  // Everything that takes memory first.
  if (!input_.next) input_.next = make_chunk();
  if (!input_.arguments) input_.arguments = std::make_shared<encoded_arguments>();
  writer into;
  into.reserve(std::min(source_->record_bytes() != 0 ? tasks * source_->record_bytes() : input_.argument_guess,
                        argument_bytes_per_chunk));
  auto pulled = source_->pull(into, tasks, argument_bytes_per_chunk);
  input_.exhausted = pulled.exhausted;
  input_.failure = pulled.input_failure;
  input_.task_failure = pulled.task_failure;
  if (pulled.count > 0) {
    input_.argument_guess = into.size() + into.size() / 8;
    input_.arguments->record_bytes = source_->record_bytes();
    input_.arguments->block = into.release();
    input_.next->argument_bytes = {input_.arguments->block.data.get(), input_.arguments->block.size};
    input_.next->arguments = std::exchange(input_.arguments, nullptr);
    input_.last_chunk = pulled.count;
    // Before it waits it may come to code of the user's: inputs, or a progress that looks at what was dispatched.
    if (!input_ended() || options_.progress) then = feeder::goes_on;
    // After a shutdown what was submitted before is delivered, and nothing behind it.
    if (!pool_->submit(next_chunk(pulled.count), then)) {
      input_.pulled -= pulled.count;
      input_.exhausted = false;
      input_.task_failure = nullptr;
      return false;
    }
  }
  return submit_failure() || pulled.count > 0;
}

// The task behind those submitted could not be encoded.
bool task_stream::submit_failure() {
  if (!input_.task_failure) return false;
  if (!input_.next) input_.next = make_chunk();
  pool_->submit_failed(next_chunk(1), std::exchange(input_.task_failure, nullptr));
  return true;
}

// The chunk of the next `count` tasks, which have been pulled.
std::shared_ptr<chunk> task_stream::next_chunk(std::uint32_t count) {
  auto work = std::exchange(input_.next, nullptr);
  work->call = call_;
  work->first_index = std::exchange(input_.pulled, input_.pulled + count);
  work->count = count;
  return work;
}

task_stream::step task_stream::next_run() {
  if (ended_) return step::end;
  cancellation_point();  // here, where nothing is half done; and not in tasks and inputs either, which run in here
  const cancel_shield shield;
  for (;;) {
    const auto step_taken = at_.advance();
    if (step_taken == run_cursor::step::value) return step::value;
    if (step_taken == run_cursor::step::failure) return step::failure;
    feed(feeder::waits);
    try {
      const bool can_feed = options_.buffer_size == 0 && !input_ended();
      if (!pool_->take(*call_, at_.parts(), can_feed)) return end_of_input();
    } catch (const invoker_closed&) {  // there is nothing more to come
      ended_ = true;
      throw;
    }
    show_progress();
  }
}

// All that was submitted has been yielded. What ends a call before its input does is no task's outcome: it is thrown.
task_stream::step task_stream::end_of_input() {
  ended_ = true;
  show_progress();
  if (input_.failure) std::rethrow_exception(input_.failure);
  if (input_.exhausted) return step::end;
  pool_->throw_if_finished();
  task_failure failure;
  failure.index = static_cast<std::size_t>(input_.pulled);
  throw task_cancelled(std::move(failure));
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
