// What a forked child must not share with its parent.
#pragma once

#include <lenskit/detail/os/system.hpp>

#include <atomic>
#include <memory>

namespace lenskit::detail {

/// One T for this process, made when it is first asked for and never destroyed; a forked child, where threads that are
/// gone may have held its locks, makes another. `InChild` is called there, and calls `renew`. For objects with static
/// storage that are initialised before any code runs.
template <class T, void (*InChild)() noexcept>
class per_process {
 public:
  constexpr per_process() noexcept = default;

  /// Throws std::bad_alloc the first time.
  [[nodiscard]] T& get() {
    if (auto* known = current_.load()) return known->value;
    auto made = std::make_unique<holder>();
    if (!registered_.exchange(true)) sys::at_fork_in_child([] { InChild(); });
    made->inherited = inherited_.load();
    holder* known = nullptr;
    return current_.compare_exchange_strong(known, made.get()) ? made.release()->value : known->value;
  }
  /// Null if nobody has asked for it yet.
  [[nodiscard]] T* find() noexcept {
    auto* known = current_.load();
    return known != nullptr ? &known->value : nullptr;
  }
  void renew() noexcept {
    if (auto* before = current_.exchange(nullptr)) inherited_.store(before);
  }

 private:
  struct holder {
    T value{};
    holder* inherited = nullptr;  // so that a search for leaks still finds it
  };
  std::atomic<holder*> current_{nullptr};
  std::atomic<holder*> inherited_{nullptr};
  std::atomic<bool> registered_{false};
};

}  // namespace lenskit::detail
