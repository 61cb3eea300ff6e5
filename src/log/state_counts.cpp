#include <lenskit/detail/log/state_counts.hpp>

#include <memory>

namespace lenskit::detail {

state_counts::~state_counts() {
  for (auto& slot : slots_) delete slot.name.load();
}

void state_counts::add(std::string_view state, std::int64_t n) {
  for (auto& slot : slots_) {
    const auto* name = slot.name.load(std::memory_order_acquire);
    if (name == nullptr) {
      auto fresh = std::make_unique<const std::string>(state);
      if (slot.name.compare_exchange_strong(name, fresh.get(), std::memory_order_acq_rel)) name = fresh.release();
    }
    if (*name != state) continue;
    slot.count.fetch_add(n, std::memory_order_relaxed);
    return;
  }
}

std::int64_t state_counts::of(std::string_view state) const noexcept {
  for (const auto& slot : slots_) {
    const auto* name = slot.name.load(std::memory_order_acquire);
    if (name == nullptr) return 0;
    if (*name == state) return slot.count.load(std::memory_order_relaxed);
  }
  return 0;
}

std::vector<std::pair<std::string, std::int64_t>> state_counts::all() const {
  std::vector<std::pair<std::string, std::int64_t>> found;
  for (const auto& slot : slots_) {
    const auto* name = slot.name.load(std::memory_order_acquire);
    if (name == nullptr) break;
    found.emplace_back(*name, slot.count.load(std::memory_order_relaxed));
  }
  return found;
}

}  // namespace lenskit::detail
