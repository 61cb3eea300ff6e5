#include <lenskit/detail/pool/call.hpp>
#include <lenskit/detail/pool/worker_handle.hpp>

#include <cstring>

namespace lenskit::detail {
namespace {

iovec part_of(const void* data, std::size_t bytes) noexcept { return {const_cast<void*>(data), bytes}; }

}  // namespace

outgoing_message::outgoing_message(std::uint64_t sequence, std::shared_ptr<chunk> work, bool keeps_time)
    : type_(message::tasks), head_bytes_(sizeof(tasks_head)), work_(std::move(work)) {
  static_assert(sizeof(tasks_head) <= sizeof head_);
  tasks_head head;
  head.chunk = work_->id;
  head.first_index = work_->first_index;
  head.count = work_->count;
  head.body = work_->call->plan.body;
  head.seed_bytes = static_cast<std::uint32_t>(work_->call->plan.seed_bytes.size());
  head.keeps_time = keeps_time ? 1 : 0;
  head.send_every_us = work_->send_every_us;
  std::memcpy(head_.data(), &head, sizeof head);
  seal(sequence);
}

outgoing_message::outgoing_message(std::uint64_t sequence, std::uint64_t recalled_chunk)
    : type_(message::recall), head_bytes_(sizeof(recall_head)) {
  const recall_head head{recalled_chunk};
  std::memcpy(head_.data(), &head, sizeof head);
  seal(sequence);
}

outgoing_message::outgoing_message(std::uint64_t sequence, std::string levels)
    : type_(message::levels), levels_(std::move(levels)) {
  seal(sequence);
}

void outgoing_message::seal(std::uint64_t sequence) noexcept {
  const auto all = parts();
  header_ = make_frame_header(static_cast<std::uint8_t>(type_), sequence, std::span(all).subspan(1));
}

std::array<iovec, 4> outgoing_message::parts() noexcept {
  std::array<iovec, 4> all{part_of(&header_, sizeof header_), part_of(head_.data(), head_bytes_), iovec{}, iovec{}};
  if (work_) {
    const auto& seed = work_->call->plan.seed_bytes;
    all[2] = part_of(seed.data(), seed.size());
    all[3] = part_of(work_->argument_bytes.data(), work_->argument_bytes.size());
  } else {
    all[2] = part_of(levels_.data(), levels_.size());
  }
  return all;
}

transfer outgoing_message::send(int fd) noexcept {
  const auto before = sent_;
  for (;;) {
    auto all = parts();
    auto skip = sent_;
    for (auto& part : all) {
      const auto cut = std::min(skip, part.iov_len);
      part = part_of(static_cast<std::byte*>(part.iov_base) + cut, part.iov_len - cut);
      skip -= cut;
    }
    std::size_t left = 0;
    for (const auto& part : all) left += part.iov_len;
    if (left == 0) return {sent_ - before, transfer::end::more, 0};
    const auto result = send_some(fd, all, blocking::dont_wait);
    sent_ += result.bytes;
    if (result.state != transfer::end::more) return {sent_ - before, result.state, result.error};
  }
}

}  // namespace lenskit::detail
