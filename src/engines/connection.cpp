#include <lenskit/detail/engines/connection.hpp>
#include <lenskit/detail/os/barrier.hpp>

#include <algorithm>
#include <utility>

namespace lenskit::detail {
namespace {

constexpr std::uint32_t most_chunks = 16;  // that a worker may have to work at
constexpr std::size_t most_levels = 16;    // messages that may wait beside them

iovec part_of(const void* data, std::size_t bytes) noexcept { return {const_cast<void*>(data), bytes}; }

}  // namespace

// ---- a message -----------------------------------------------------------------------------------------------------

outgoing_message::outgoing_message(std::uint64_t sequence, assignment work, std::uint32_t claim,
                                   bool keeps_time) noexcept
    : head_(tasks_head{}), work_(std::move(work)) {
  head_->chunk = work_.chunk;
  head_->first_index = work_.first_index;
  head_->count = work_.count;
  head_->claim = claim;
  head_->body = work_.plan->body;
  head_->seed_bytes = static_cast<std::uint32_t>(std::as_bytes(std::span(work_.plan->seed_words)).size());
  head_->keeps_time = keeps_time ? 1 : 0;
  head_->send_every_us = work_.send_every_us;
  seal(message::tasks, sequence);
}

outgoing_message::outgoing_message(std::uint64_t sequence, std::shared_ptr<const std::string> levels) noexcept
    : levels_(std::move(levels)) {
  seal(message::levels, sequence);
}

void outgoing_message::seal(message type, std::uint64_t sequence) noexcept {
  const auto all = parts();
  header_ = make_frame_header(static_cast<std::uint8_t>(type), sequence, std::span(all).subspan(1));
}

std::array<iovec, outgoing_message::most_parts> outgoing_message::parts() noexcept {
  if (!head_) return {part_of(&header_, sizeof header_), part_of(levels_->data(), levels_->size()), iovec{}, iovec{}};
  const auto seed = std::as_bytes(std::span(work_.plan->seed_words));
  return {part_of(&header_, sizeof header_), part_of(&*head_, sizeof *head_), part_of(seed.data(), seed.size()),
          part_of(work_.argument_bytes.data(), work_.argument_bytes.size())};
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

// ---- the connection ------------------------------------------------------------------------------------------------

connection::connection(descriptor stream, journal_block& block) : stream_(std::move(stream)), block_(block) {
  outgoing_.reserve(journal_block::most_claims + most_levels);
  incoming_.emplace();
}

// Chunks that the worker may still come to. What it says of them is its own affair, if it makes no sense.
std::uint32_t connection::unpassed() const noexcept {
  const auto sent = chunks_sent_.load(std::memory_order_relaxed);
  return std::min(sent - block_.passed.load(std::memory_order_acquire), sent);
}

int connection::room() const noexcept {
  const auto pending = std::min(unpassed(), journal_block::most_claims);
  std::uint32_t live = 0;
  for (std::uint32_t back = 1; back <= pending; ++back) {
    live += chunks_[(chunks_sent_ - back) % chunks_.size()].taken_back ? 0U : 1U;
  }
  const auto free = journal_block::most_claims - pending;
  return static_cast<int>(std::min(free, most_chunks - std::min(live, most_chunks)));
}

bool connection::clogged() const noexcept { return unpassed() >= journal_block::most_claims; }

void connection::push(assignment work, bool keeps_time) noexcept {
  const auto number = chunks_sent_++;
  chunks_[number % chunks_.size()] = {work.chunk, work.count, false};
  block_.claim_of(number).open(work.count);
  outgoing_.emplace_back(sequence_++, std::move(work), number, keeps_time);
  unflushed_ = true;
}

void connection::push(std::shared_ptr<const std::string> levels) noexcept {
  if (outgoing_.size() == outgoing_.capacity()) return;  // told with a later one
  outgoing_.emplace_back(sequence_++, std::move(levels));
  unflushed_ = true;
}

std::uint32_t connection::take_back(std::uint64_t chunk, std::uint32_t keep) noexcept {
  const auto known = std::min<std::uint32_t>(chunks_sent_, journal_block::most_claims);
  for (std::uint32_t back = 1; back <= known; ++back) {
    const auto number = chunks_sent_ - back;
    auto& sent = chunks_[number % chunks_.size()];
    if (sent.chunk != chunk) continue;
    const auto position = block_.claim_of(number).take_back(sent.count, keep, barrier_for_all);
    sent.taken_back = position == 0;
    return position;
  }
  return claim::most_tasks;
}

transfer connection::flush() noexcept {
  constexpr std::size_t at_once = 16;
  std::array<iovec, at_once * outgoing_message::most_parts> parts;
  unflushed_ = false;
  transfer all{0, transfer::end::more, 0};
  auto first = outgoing_.begin();  // that is not sent
  while (first != outgoing_.end() && all.state == transfer::end::more) {
    std::size_t count = 0;
    for (auto message = first; message != outgoing_.end(); ++message) {
      if (count + outgoing_message::most_parts > parts.size()) break;
      count += message->unsent(std::span(parts).subspan(count));
    }
    const auto result = send_some(fd(), std::span(parts).first(count), blocking::dont_wait);
    for (auto left = result.bytes; left > 0;) {
      left -= first->sent(left);
      if (first->done()) ++first;
    }
    all = {all.bytes + result.bytes, result.state, result.error};
  }
  outgoing_.erase(outgoing_.begin(), first);
  if (all.state == transfer::end::closed) outgoing_.clear();
  awaits_room_ = !outgoing_.empty();
  bytes_sent_ += all.bytes;
  return all;
}

}  // namespace lenskit::detail
