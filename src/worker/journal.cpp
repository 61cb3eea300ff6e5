#include <lenskit/detail/os/errors.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/worker/journal.hpp>

#include <algorithm>
#include <cstring>
#include <tuple>

namespace lenskit::detail {

journal::journal(int workers) : workers_(workers) {
  const auto bytes = static_cast<std::size_t>(workers) * sizeof(journal_block);
  void* where = sys::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (where == MAP_FAILED) throw_errno("cannot map the workers' journals");
  blocks_ = static_cast<journal_block*>(where);
  for (int worker = 0; worker < workers; ++worker) blocks_[worker].reset();
}

journal::~journal() { sys::munmap(blocks_, static_cast<std::size_t>(workers_) * sizeof(journal_block)); }

void journal_block::reset() noexcept {
  chunk.store(0);
  for (auto* number : {&claim_at, &passed, &base, &started, &runs.reuses, &sending, &held_up, &ready}) number->store(0);
  runs.begin();
  started_at.store(0);
  chunk_started_at.store(0);
  processor.store(-1);
  for (auto& each : claims) each.open(0);
}

void journal::keep_only(int worker) noexcept {
  const auto protect = [this](int from, int to) {
    if (from < to)
      sys::mprotect(&blocks_[from], static_cast<std::size_t>(to - from) * sizeof(journal_block), PROT_NONE);
  };
  protect(0, worker);
  protect(worker + 1, workers_);
}

last_will read_last_will(const journal_block& block) {
  last_will will;
  will.chunk = block.chunk.load(std::memory_order_acquire);
  const auto& claimed = block.claim_in_hand();
  will.finished = claimed.finished.load(std::memory_order_acquire);
  will.owned = claimed.owned(claim::most_tasks);
  will.started = block.started.load();
  will.base = block.base.load();
  will.started_at = block.started_at.load();
  if (will.started_at == 0) will.started_at = block.chunk_started_at.load();
  const auto runs = block.runs.look();
  const auto bytes = runs.extent(will.finished);
  const bool sane = will.finished != claim::not_begun && will.base <= will.finished && will.finished <= will.started &&
                    bytes <= sizeof block.results;
  if (!sane) will.finished = will.base;
  if (will.finished == will.base) return will;
  will.saved = byte_buffer(bytes);
  std::memcpy(will.saved.data(), block.results, bytes);
  runs.close(will.saved.bytes(), will.finished);
  return will;
}

std::optional<last_will> read_unsent(const journal_block& block) {
  const auto state = [&block] {
    return std::tuple(block.runs.reuses.load(std::memory_order_acquire), block.chunk.load(std::memory_order_acquire),
                      block.claim_in_hand().finished.load(std::memory_order_acquire));
  };
  const auto before = state();
  if (block.sending.load(std::memory_order_acquire) != 0) return std::nullopt;
  auto will = read_last_will(block);
  std::atomic_thread_fence(std::memory_order_acquire);
  const bool unchanged = state() == before && block.sending.load(std::memory_order_acquire) == 0;
  if (!unchanged || will.chunk == 0 || will.finished == will.base) return std::nullopt;
  return will;
}

}  // namespace lenskit::detail
