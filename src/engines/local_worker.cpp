#include <lenskit/detail/dispatch/call.hpp>
#include <lenskit/detail/engines/local_worker.hpp>
#include <lenskit/detail/worker/worker_loop.hpp>

#include <cstring>

namespace lenskit::detail {
namespace {

frame make_message(const results_head& head, std::span<const std::byte> runs) {
  frame message;
  message.type = static_cast<std::uint8_t>(message::results);
  message.payload = byte_buffer(sizeof head + runs.size());
  std::memcpy(message.payload.data(), &head, sizeof head);
  if (!runs.empty()) std::memcpy(message.payload.data() + sizeof head, runs.data(), runs.size());
  return message;
}

}  // namespace

local_worker::local_worker(std::shared_ptr<workplace> place, std::function<void(frame)> deliver)
    : place_(std::move(place)),
      deliver_(std::move(deliver)),
      block_(std::make_unique_for_overwrite<journal_block>()),  // most of it is never touched
      recorder_(*block_, *this, true) {}

void local_worker::run(const chunk& work) noexcept {
  const auto outer = this_task;  // engines nest in one thread
  tasks_head head;
  head.chunk = work.id;
  head.first_index = work.first_index;
  head.count = work.count;
  head.send_every_us = work.send_every_us;
  recorder_.begin(head, work.call->plan.seed);
  run_chunk(*place_, work.call->plan.body, work.argument_bytes, recorder_);
  this_task = outer;
}

void local_worker::deliver(results_head head, std::span<const std::byte> runs, std::vector<descriptor> attached) {
  auto message = make_message(head, runs);
  message.attached = std::move(attached);
  deliver_(std::move(message));
}

frame returned_message(std::uint64_t chunk, std::uint32_t tasks) {
  results_head head;
  head.chunk = chunk;
  head.returned = tasks;
  return make_message(head, {});
}

}  // namespace lenskit::detail
