// Code by number: what one process has another one run.
#pragma once

#include <cstdint>

namespace lenskit::detail {

/// What a number stands for.
enum class code_kind : std::uint32_t {
  body,   ///< runs the tasks of a chunk (body.hpp)
  place,  ///< makes the workplace that they run at (place.hpp)
};

/// Means the same in every process forked from this program, and in every process that has started from the same
/// executable and libraries, and loaded no plugins, or the same in the same order.
using code_id = std::uint32_t;

/// As a pointer to any function.
using code_pointer = void (*)();

/// Gives code a number. Code is registered while the program or a plugin is loaded; a plugin's is unknown to workers
/// forked before, and forgotten when it is unloaded.
class registered_code {
 public:
  registered_code(code_kind kind, code_pointer code) noexcept;
  ~registered_code();
  registered_code(const registered_code&) = delete;
  registered_code& operator=(const registered_code&) = delete;
  [[nodiscard]] code_id id() const noexcept { return id_; }

 private:
  code_id id_;
};

/// Null if this process knows no code of that kind and number. Takes no lock: right in a fork, whatever the parent was
/// at.
[[nodiscard]] code_pointer find_code(code_kind kind, code_id id) noexcept;

}  // namespace lenskit::detail
