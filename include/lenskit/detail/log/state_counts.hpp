// How many items are in which state.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lenskit::detail {

/// Counts by name, for several threads at once and without a lock, which a fork could leave locked for ever.
class state_counts {
 public:
  static constexpr std::size_t max_states = 16;

  state_counts() = default;
  ~state_counts();
  state_counts(const state_counts&) = delete;
  state_counts& operator=(const state_counts&) = delete;

  void add(std::string_view state, std::int64_t n);
  [[nodiscard]] std::int64_t of(std::string_view state) const noexcept;
  [[nodiscard]] std::vector<std::pair<std::string, std::int64_t>> all() const;

  void close() noexcept { closed_.store(true, std::memory_order_release); }
  [[nodiscard]] bool closed() const noexcept { return closed_.load(std::memory_order_acquire); }

 private:
  struct state_count {
    std::atomic<const std::string*> name{nullptr};
    std::atomic<std::int64_t> count{0};
  };
  std::array<state_count, max_states> slots_{};  // filled from the front, never emptied
  std::atomic<bool> closed_{false};
};

}  // namespace lenskit::detail
