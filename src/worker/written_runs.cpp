#include <lenskit/detail/wire/message.hpp>
#include <lenskit/detail/worker/written_runs.hpp>

#include <algorithm>
#include <cstring>

namespace lenskit::detail {
namespace {

std::uint32_t count_of_open(const seen_runs& runs, std::uint32_t finished) noexcept {
  return finished - std::min(finished, runs.open_position);
}

}  // namespace

std::uint64_t seen_runs::extent(std::uint32_t finished) const noexcept {
  if (open_at == none || value_bytes == 0) return bytes;
  return open_at + sizeof(run_head) + std::uint64_t{value_bytes} * count_of_open(*this, finished);
}

void seen_runs::close(std::span<std::byte> copy, std::uint32_t finished) const noexcept {
  if (open_at == none || open_at + sizeof(run_head) > copy.size()) return;
  const run_head head{count_of_open(*this, finished), run_kind::values};
  std::memcpy(copy.data() + open_at, &head, sizeof head);
}

void written_runs::begin() noexcept {
  open_position.store(0);
  value_bytes.store(0);
  open_at.store(seen_runs::none);
  bytes.store(0);
}

}  // namespace lenskit::detail
