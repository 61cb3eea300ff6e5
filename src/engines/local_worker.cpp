#include <lenskit/detail/engines/local_worker.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/worker/worker_loop.hpp>

#include <chrono>
#include <cstring>
#include <new>
#include <thread>
#include <utility>

namespace lenskit::detail {
namespace {

const std::exception_ptr& no_memory() {
  static const auto failure = std::make_exception_ptr(std::bad_alloc());
  return failure;
}

}  // namespace

local_worker::local_worker(int index, std::shared_ptr<workplace> place, receiver deliver)
    : index_(index),
      place_(std::move(place)),
      deliver_(std::move(deliver)),
      block_(std::make_unique_for_overwrite<journal_block>()),  // most of it is never touched
      spare_(make_results_event()),
      recorder_(*block_, *this, {.in_worker_process = true, .fenced = true, .sending = &sending_}) {
  block_->reset();
  std::ignore = no_memory();
}

std::uint32_t local_worker::room() const noexcept {
  return journal_block::most_claims - (expected_ - block_->passed.load(std::memory_order_acquire));
}

std::uint32_t local_worker::expect(const assignment& work) noexcept {
  block_->claim_of(expected_).open(work.count);
  return expected_++;
}

std::uint32_t local_worker::take_back(std::uint32_t number, std::uint32_t count, std::uint32_t keep) noexcept {
  return block_->claim_of(number).take_back(count, keep, [] { return true; });
}

std::list<results_event> local_worker::unsent() {
  const std::unique_lock held(sending_, std::try_to_lock);
  return held ? harvest(*block_, index_, sys::getpid()) : std::list<results_event>();
}

void local_worker::run(const assignment& work, std::uint32_t number) noexcept {
  const auto outer = this_task;  // engines nest in one thread
  try {
    prepare();
  } catch (const std::bad_alloc&) {  // it may not be needed
  }
  tasks_head head;
  head.chunk = work.chunk;
  head.first_index = work.first_index;
  head.count = work.count;
  head.claim = number;
  head.send_every_us = work.send_every_us;
  recorder_.begin(head, work.plan->seed);
  run_chunk(*place_, work.plan->body, work.argument_bytes, recorder_);
  hand_over(lost_);
  this_task = outer;
}

void local_worker::deliver(results_head head, std::span<const std::byte> runs, std::vector<descriptor> attached) {
  constexpr int enough_tries = 4;  // then these results are lost: what they are can only be said without memory
  for (int tries = 1;; ++tries) {
    try {
      prepare();  // first: without memory there must be something to say so with
      auto made = make_results_event();
      auto& part = made.front().part.front();
      part.payload = byte_buffer(runs.size());
      std::memcpy(part.payload.data(), runs.data(), runs.size());
      part.attached = std::move(attached);
      made.front().head = head;
      hand_over(lost_);
      return hand_over(made);
    } catch (const std::bad_alloc&) {
      if (tries >= enough_tries && (!lost_.empty() || !spare_.empty())) return lose(head);
    }
    if (tries >= enough_tries) deliver_({});  // whoever waits for them has memory to give back, and others have
    constexpr auto moment = std::chrono::milliseconds(1);
    std::this_thread::sleep_for(moment);
  }
}

// What is lost in a row is told of at once, when there is memory again or the chunk is over: so one event is enough.
void local_worker::lose(const results_head& head) noexcept {
  if (!lost_.empty()) {
    lost_.front().head.count += head.count;
    return;
  }
  lost_ = std::exchange(spare_, {});
  lost_.front().head = head;
  lost_.front().part.front().failure = no_memory();
}

void local_worker::hand_over(std::list<results_event>& made) {
  if (made.empty()) return;
  auto& event = made.front();
  event.worker = index_;
  event.part.front().count = event.head.count;
  event.part.front().worker_pid = sys::getpid();
  deliver_(std::exchange(made, {}));
}

}  // namespace lenskit::detail
