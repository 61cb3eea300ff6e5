// Reads the body of a report, which whatever happened in the worker may have made, from its front.
#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace lenskit::detail {

class body_reader {
 public:
  explicit body_reader(std::string_view body) noexcept : rest_(body) {}

  /// Both are false, and leave all as it is, if there is less than that.
  template <class T>
  requires std::is_trivially_copyable_v<T>
  bool read(T& into) noexcept {
    std::string_view bytes;
    if (!take(sizeof into, bytes)) return false;
    std::memcpy(&into, bytes.data(), sizeof into);
    return true;
  }
  bool take(std::size_t count, std::string_view& into) noexcept {
    if (count > rest_.size()) return false;
    into = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return true;
  }
  [[nodiscard]] bool done() const noexcept { return rest_.empty(); }

 private:
  std::string_view rest_;
};

}  // namespace lenskit::detail
