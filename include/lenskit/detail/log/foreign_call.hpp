// Where the library takes locks that are not its own, and forks wait for it.
#pragma once

#include <mutex>

namespace lenskit::detail {

/// Lives around a call into spdlog, a sink or any other code that is not the library's. Whoever forks, first waits
/// until nobody is in such a call, so that no child finds a lock taken by a thread that it does not have (failure U2);
/// but not longer than about a second, and not twice for the same call that hangs. May be nested in a thread.
class foreign_call {
 public:
  /// Waits while somebody forks.
  foreign_call() noexcept;
  /// Does not wait: false if somebody forks.
  explicit foreign_call(std::try_to_lock_t) noexcept;
  ~foreign_call();
  foreign_call(const foreign_call&) = delete;
  foreign_call& operator=(const foreign_call&) = delete;

  explicit operator bool() const noexcept { return entered_; }

 private:
  bool entered_ = false;
};

}  // namespace lenskit::detail
