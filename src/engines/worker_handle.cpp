#include <lenskit/detail/dispatch/call.hpp>
#include <lenskit/detail/engines/worker_handle.hpp>

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
  head.seed_bytes = static_cast<std::uint32_t>(std::as_bytes(std::span(work_->call->plan.seed_words)).size());
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

std::array<iovec, outgoing_message::most_parts> outgoing_message::parts() noexcept {
  std::array<iovec, most_parts> all{part_of(&header_, sizeof header_), part_of(head_.data(), head_bytes_), iovec{},
                                    iovec{}};
  if (work_) {
    const auto seed = std::as_bytes(std::span(work_->call->plan.seed_words));
    all[2] = part_of(seed.data(), seed.size());
    all[3] = part_of(work_->argument_bytes.data(), work_->argument_bytes.size());
  } else {
    all[2] = part_of(levels_.data(), levels_.size());
  }
  return all;
}

std::size_t outgoing_message::unsent(std::span<iovec> parts) noexcept {
  std::size_t count = 0;
  auto skip = sent_;
  for (const auto& part : this->parts()) {
    const auto cut = std::min(skip, part.iov_len);
    skip -= cut;
    if (cut < part.iov_len) parts[count++] = part_of(static_cast<std::byte*>(part.iov_base) + cut, part.iov_len - cut);
  }
  return count;
}

std::size_t outgoing_message::sent(std::size_t bytes) noexcept {
  const auto own = std::min<std::size_t>(bytes, sizeof header_ + header_.length - sent_);
  sent_ += own;
  return own;
}

transfer send_messages(std::vector<outgoing_message>& queue, int fd) noexcept {
  constexpr std::size_t at_once = 16;
  std::array<iovec, at_once * outgoing_message::most_parts> parts;
  transfer all{0, transfer::end::more, 0};
  auto first = queue.begin();  // that is not sent
  while (first != queue.end() && all.state == transfer::end::more) {
    std::size_t count = 0;
    for (auto message = first; message != queue.end(); ++message) {
      if (count + outgoing_message::most_parts > parts.size()) break;
      count += message->unsent(std::span(parts).subspan(count));
    }
    const auto result = send_some(fd, std::span(parts).first(count), blocking::dont_wait);
    for (auto left = result.bytes; left > 0;) {
      left -= first->sent(left);
      if (first->done()) ++first;
    }
    all = {all.bytes + result.bytes, result.state, result.error};
  }
  queue.erase(queue.begin(), first);
  return all;
}

}  // namespace lenskit::detail
