#include <lenskit/detail/os/errors.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/wire/message.hpp>
#include <lenskit/detail/worker/journal.hpp>

#include <algorithm>
#include <cstring>

namespace lenskit::detail {

journal::journal(int workers) : workers_(workers) {
  const auto bytes = static_cast<std::size_t>(workers) * sizeof(journal_block);
  void* where = sys::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (where == MAP_FAILED) throw_errno("cannot map the workers' journals");
  blocks_ = static_cast<journal_block*>(where);
  for (int worker = 0; worker < workers; ++worker) reset(worker);
}

journal::~journal() { sys::munmap(blocks_, static_cast<std::size_t>(workers_) * sizeof(journal_block)); }

void journal::reset(int worker) noexcept {
  auto& block = blocks_[worker];
  block.chunk.store(0);
  for (auto* position : {&block.base, &block.started, &block.finished, &block.run_position}) position->store(0);
  block.run_at.store(journal_block::no_run);
  block.value_bytes.store(0);
  block.bytes.store(0);
  block.started_at.store(0);
  block.chunk_started_at.store(0);
  block.printing.store(0);
  block.ready.store(0);
  block.sending.store(0);
  block.news.store(0);
  block.processor.store(-1);
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
  will.finished = block.finished.load(std::memory_order_acquire);
  will.started = block.started.load();
  will.base = block.base.load();
  will.started_at = block.started_at.load();
  if (will.started_at == 0) will.started_at = block.chunk_started_at.load();
  const auto run_at = block.run_at.load();
  const auto run_position = block.run_position.load();
  const bool has_open_run = run_at != journal_block::no_run;
  std::uint64_t bytes = block.bytes.load();
  if (const std::uint64_t each = block.value_bytes.load(); has_open_run && each != 0) {
    bytes = run_at + sizeof(run_head) + each * (will.finished - std::min(will.finished, run_position));
  }
  const bool sane = will.base <= will.finished && will.finished <= will.started && bytes <= sizeof block.results;
  if (!sane) will.finished = will.base;
  if (will.finished == will.base) return will;
  will.saved = byte_buffer(bytes);
  std::memcpy(will.saved.data(), block.results, bytes);
  // The head of the run that was still open does not know its count yet.
  if (has_open_run && run_at + sizeof(run_head) <= bytes) {
    const run_head head{will.finished - std::min(will.finished, run_position), run_kind::values};
    std::memcpy(will.saved.data() + run_at, &head, sizeof head);
  }
  return will;
}

}  // namespace lenskit::detail
