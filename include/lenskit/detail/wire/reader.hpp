// Where an encoded value comes from: a cursor over bytes that nobody has checked yet.
#pragma once

#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/wire/writer.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace lenskit::detail {

/// Reads from front to back and never past the end: whatever is missing throws `serialization_error` with the name of
/// what was expected (failure D5). Does not own the bytes.
class reader {
 public:
  reader(const std::byte* data, std::size_t size) noexcept : next_(data), end_(data + size) {}
  explicit reader(std::span<const std::byte> bytes) noexcept : reader(bytes.data(), bytes.size()) {}
  /// With the descriptors that came beside the bytes, to be taken in the order in which they were attached.
  reader(std::span<const std::byte> bytes, std::span<descriptor> attachments) noexcept : reader(bytes) {
    attachments_ = attachments;
  }

  template <class T>
  [[nodiscard]] T get(const char* what = "a number") {
    static_assert(std::is_trivially_copyable_v<T> && std::is_default_constructible_v<T>);
    T value;
    get_into(&value, sizeof value, what);
    return value;
  }
  void get_into(void* into, std::size_t bytes, const char* what) {
    if (bytes > left()) [[unlikely]]
      fail_short(what, bytes, left());
    if (bytes != 0) std::memcpy(into, next_, bytes);
    next_ += bytes;
  }
  [[nodiscard]] std::span<const std::byte> take(std::size_t bytes, const char* what = "a run of bytes") {
    if (bytes > left()) [[unlikely]]
      fail_short(what, bytes, left());
    const std::span<const std::byte> taken(next_, bytes);
    next_ += bytes;
    return taken;
  }
  /// A number of elements to come, each of which takes at least `element_bytes`: more than the message can hold is
  /// refused here, before anybody allocates for them.
  [[nodiscard]] std::size_t get_count(std::size_t element_bytes, const char* what) {
    const auto count = get<std::uint64_t>(what);
    if (count > left() / element_bytes) [[unlikely]]
      fail_count(what, count, left());
    return static_cast<std::size_t>(count);
  }

  [[nodiscard]] std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - next_); }
  [[nodiscard]] std::span<const std::byte> rest() const noexcept { return {next_, left()}; }
  [[nodiscard]] descriptor take_attachment();

  /// Counts how deep values lie in one another, for as long as it lives: a hostile message must not end in a stack
  /// overflow.
  class nesting {
   public:
    explicit nesting(reader& in) : in_(in) {
      if (++in_.depth_ > max_depth) [[unlikely]] {
        --in_.depth_;
        fail_depth();
      }
    }
    nesting(const nesting&) = delete;
    nesting& operator=(const nesting&) = delete;
    ~nesting() { --in_.depth_; }

   private:
    reader& in_;
  };
  static constexpr unsigned max_depth = writer::max_depth;
  [[noreturn]] static void fail_depth();

 private:
  // Static, so that a reader that is a local variable can stay in registers.
  [[noreturn]] static void fail_short(const char* what, std::size_t bytes, std::size_t left);
  [[noreturn]] static void fail_count(const char* what, std::uint64_t count, std::size_t left);

  const std::byte* next_;
  const std::byte* end_;
  std::span<descriptor> attachments_{};
  unsigned depth_ = 0;
};

}  // namespace lenskit::detail
