#include <lenskit/detail/os/child.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/worker/recorder.hpp>
#include <lenskit/error.hpp>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

namespace lenskit::detail {
namespace {

// The clock is read about this often: reading it after every task would cost as much as a short task.
constexpr std::int64_t look_every_ns = 20'000;
// A chunk whose tasks suddenly take long is looked at this many times at least.
constexpr std::uint32_t looks_per_chunk = 8;

// Heap memory that a large result left behind and that is kept for the next one.
constexpr std::size_t keep_bytes = std::size_t{4} << 20;

constexpr std::size_t no_size = 0;

}  // namespace

recorder::recorder(journal_block& block, result_sink& sink, recorder_options options)
    : block_(block), sink_(sink), options_(options), results_(block.results, sizeof block.results) {
  results_.carry_descriptors(options.in_worker_process);
}

void recorder::leave_fork() const noexcept {
  if (options_.in_worker_process) leave_child(0);
}

void recorder::begin(const tasks_head& chunk, const call_seed& seed) {
  seed_ = &seed;
  chunk_ = chunk.chunk;
  claim_ = &block_.claim_of(chunk.claim);
  first_index_ = chunk.first_index;
  count_ = chunk.count;
  keeps_time_ = chunk.keeps_time != 0;
  send_every_ns_ = std::int64_t{1000} * chunk.send_every_us;
  position_ = base_ = 0;
  run_at_ = journal_block::no_run;
  results_.clear();
  sent_at_ = looked_at_ = now_ns();
  stride_ = std::max(std::min(stride_, count_ / looks_per_chunk), 1U);
  until_look_ = stride_ + 1;
  // The chunk's number last: until it stands there, nothing of this chunk has started.
  block_.chunk.store(0);
  for (auto* position : {&block_.base, &block_.started, &block_.run_position, &block_.value_bytes}) position->store(0);
  block_.run_at.store(journal_block::no_run);
  block_.bytes.store(no_size);
  block_.chunk_started_at.store(sent_at_);
  if (options_.in_worker_process) block_.processor.store(sys::processor(), std::memory_order_relaxed);
  block_.claim_at.store(chunk.claim);
  claim_->finished.store(0);
  block_.chunk.store(chunk_);
}

void recorder::open_run() {
  run_at_ = static_cast<std::uint32_t>(results_.size());
  run_position_ = position_;
  results_.put(run_head{0, run_kind::values});
  block_.run_position.store(run_position_, std::memory_order_relaxed);
  block_.run_at.store(run_at_, std::memory_order_release);
}

std::unique_lock<std::mutex> recorder::keep_reader_out() {
  return options_.sending != nullptr ? std::unique_lock(*options_.sending) : std::unique_lock<std::mutex>();
}

void recorder::close_run() noexcept {
  if (run_at_ == journal_block::no_run) return;
  const run_head head{position_ - run_position_, run_kind::values};
  std::memcpy(results_.data() + run_at_, &head, sizeof head);
  run_at_ = journal_block::no_run;
  // Behind the head: who sees that no run is open takes the head as it stands. Of results that have left the block,
  // what stayed in it has its head open for good; they are sent next.
  if (!results_.spilled()) block_.run_at.store(journal_block::no_run, std::memory_order_release);
}

void recorder::failure(std::exception_ptr thrown) {
  leave_if_forked();
  {
    const auto unread = keep_reader_out();
    close_run();
  }
  results_.put(run_head{1, run_kind::failure});
  encode_exception(results_, std::move(thrown));
  settle();
}

void recorder::unencodable() {
  std::exception_ptr reason = std::current_exception();
  try {
    throw;
  } catch (const serialization_error&) {
  } catch (const std::bad_alloc&) {  // there may be none to say more with
  } catch (const std::exception& error) {
    reason = std::make_exception_ptr(serialization_error(std::string("cannot store the result: ") + error.what()));
  } catch (...) {
    reason =
        std::make_exception_ptr(serialization_error("cannot store the result: storing it threw no std::exception"));
  }
  failure(std::move(reason));
}

void recorder::look_up() {
  const auto now = now_ns();
  const auto passed = now - looked_at_;
  if (passed < look_every_ns / 2) stride_ *= 2;
  if (passed > look_every_ns * 2) stride_ = std::max(stride_ / 2, 1U);
  stride_ = std::min(stride_, std::max(count_ / looks_per_chunk, 1U));
  until_look_ = stride_;
  looked_at_ = now;
  if (now - sent_at_ >= send_every_ns_ && position_ > base_) send();
}

void recorder::send() {
  const auto unread = keep_reader_out();
  close_run();
  const auto now = now_ns();
  const results_head head{.chunk = chunk_, .offset = base_, .count = position_ - base_, .elapsed_ns = now - sent_at_};
  block_.sending.store(1, std::memory_order_relaxed);
  sink_.deliver(head, {results_.data(), results_.size()}, results_.take_attachments());
  base_ = position_;
  sent_at_ = now_ns();
  block_.reuses.store(block_.reuses.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  std::atomic_thread_fence(std::memory_order_release);
  // First the base: results that were sent are then nothing to save, whenever the worker dies.
  block_.base.store(base_, std::memory_order_release);
  claim_->finished.store(position_, std::memory_order_release);
  block_.run_at.store(journal_block::no_run, std::memory_order_relaxed);
  block_.bytes.store(no_size, std::memory_order_relaxed);
  block_.sending.store(0, std::memory_order_release);
  const bool spilled = results_.spilled();
  results_.clear();
  if (spilled) results_.trim(keep_bytes);
}

void recorder::finish() {
  leave_task();
  if (position_ > base_) send();
  block_.chunk.store(0, std::memory_order_release);
  block_.passed.store(block_.passed.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

}  // namespace lenskit::detail
