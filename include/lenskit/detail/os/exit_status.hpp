// How a process ended.
#pragma once

#include <cstddef>
#include <optional>

namespace lenskit::detail {

/// As far as its parent could see. Its bytes may be sent to another process of this machine.
struct exit_status {
  std::optional<int> signal{};     ///< the signal that killed it
  std::optional<int> exit_code{};  ///< or the code it exited with; neither is known if both are empty
  bool core_dumped = false;
  bool stopped = false;         ///< it was ended because it had been stopped (SIGSTOP) and did not go on
  std::size_t peak_memory = 0;  ///< bytes, its largest resident set; 0 if unknown

  [[nodiscard]] bool known() const noexcept { return signal || exit_code; }
};

}  // namespace lenskit::detail
