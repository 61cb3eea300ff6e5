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

// Heap memory that a large result left behind and that is kept for the next one.
constexpr std::size_t keep_bytes = std::size_t{4} << 20;

// What storing a result threw, as its task's error.
std::exception_ptr as_serialization_error(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const serialization_error&) {
    return thrown;
  } catch (const std::exception& error) {
    return std::make_exception_ptr(serialization_error(std::string("cannot store the result: ") + error.what()));
  } catch (...) {
    return std::make_exception_ptr(serialization_error("cannot store the result: storing it threw no std::exception"));
  }
}

}  // namespace

recorder::recorder(journal_block& block, result_sink& sink, recorder_options options)
    : block_(block), sink_(sink), options_(options), results_(block.results, sizeof block.results) {
  results_.carry_descriptors(options.in_worker_process);
}

void recorder::leave_fork() const noexcept {
  if (options_.in_worker_process) leave_child(0);
}

void recorder::begin(const tasks_head& chunk, const call_seed& seed) {
  hand_ = {.claimed = &block_.claim_of(chunk.claim),
           .seed = &seed,
           .chunk = chunk.chunk,
           .first_index = chunk.first_index,
           .count = chunk.count,
           .keeps_time = chunk.keeps_time != 0};
  run_ = {};
  send_every_ns_ = std::int64_t{1000} * chunk.send_every_us;
  results_.clear();
  sent_at_ = now_ns();
  stride_.begin(hand_.count, sent_at_);
  // The chunk's number last: until it stands there, nothing of this chunk has started.
  block_.chunk.store(0);
  block_.base.store(0);
  block_.started.store(0);
  block_.runs.begin();
  block_.chunk_started_at.store(sent_at_);
  if (options_.in_worker_process) block_.processor.store(sys::processor(), std::memory_order_relaxed);
  block_.claim_at.store(chunk.claim);
  hand_.claimed->finished.store(0);
  block_.chunk.store(hand_.chunk);
}

void recorder::open_run() {
  run_ = {static_cast<std::uint32_t>(results_.size()), hand_.position};
  results_.put(run_head{0, run_kind::values});
  block_.runs.open(run_.at, run_.position);
}

std::unique_lock<std::mutex> recorder::keep_reader_out() {
  return options_.sending != nullptr ? std::unique_lock(*options_.sending) : std::unique_lock<std::mutex>();
}

void recorder::close_run() noexcept {
  if (!run_.is_open()) return;
  const run_head head{hand_.position - run_.position, run_kind::values};
  std::memcpy(results_.data() + run_.at, &head, sizeof head);
  run_ = {};
  // Behind the head: who sees that no run is open takes the head as it stands. Of results that have left the block,
  // what stayed in it has its head open for good; they are sent next.
  if (!results_.spilled()) block_.runs.close();
}

void recorder::failure(std::exception_ptr thrown) {
  leave_if_forked();
  {
    const auto unread = keep_reader_out();
    close_run();
  }
  results_.put(run_head{1, run_kind::failure});
  encode_exception(results_, std::move(thrown));
  complete_task();
}

void recorder::unencodable() {
  std::exception_ptr reason = std::current_exception();
  try {
    reason = as_serialization_error(reason);
  } catch (const std::bad_alloc&) {  // there is no memory to say more with
  }
  failure(std::move(reason));
}

void recorder::look_at_clock() {
  const auto now = now_ns();
  stride_.renew(now);
  if (now - sent_at_ >= send_every_ns_ && hand_.unsent() > 0) send();
}

void recorder::send() {
  const auto unread = keep_reader_out();
  close_run();
  const auto now = now_ns();
  const results_head head{
      .chunk = hand_.chunk, .offset = hand_.base, .count = hand_.unsent(), .elapsed_ns = now - sent_at_};
  block_.sending.store(1, std::memory_order_relaxed);
  sink_.deliver(head, {results_.data(), results_.size()}, results_.take_attachments());
  hand_.base = hand_.position;
  sent_at_ = now_ns();
  block_.runs.count_reuse();
  std::atomic_thread_fence(std::memory_order_release);
  // First the base: results that were sent are then nothing to save, whenever the worker dies.
  block_.base.store(hand_.base, std::memory_order_release);
  hand_.claimed->finished.store(hand_.position, std::memory_order_release);
  block_.runs.empty();
  block_.sending.store(0, std::memory_order_release);
  const bool spilled = results_.spilled();
  results_.clear();
  if (spilled) results_.trim(keep_bytes);
}

void recorder::finish() {
  leave_task();
  if (hand_.unsent() > 0) send();
  block_.chunk.store(0, std::memory_order_release);
  block_.passed.store(block_.passed.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

}  // namespace lenskit::detail
