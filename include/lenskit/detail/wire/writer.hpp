// Where an encoded value goes: one flat, growing run of bytes, and the descriptors that travel beside it.
#pragma once

#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/os/message_block.hpp>

#include <cstddef>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace lenskit::detail {

/// Bytes on the heap that were never zeroed, and how many of them count.
struct byte_block {
  std::unique_ptr<std::byte, free_bytes> data;
  std::size_t size = 0;
};

/// A growable flat buffer. It may start in storage that it does not own (a shared journal) and moves to the heap when
/// that is too small. Nothing is ever zeroed. Not safe for concurrent use.
class writer {
 public:
  writer() noexcept = default;
  writer(std::byte* external, std::size_t capacity) noexcept
      : external_(external),
        external_capacity_(capacity),
        begin_(external),
        next_(external),
        end_(external + capacity) {}
  writer(const writer&) = delete;
  writer& operator=(const writer&) = delete;

  void put(const void* from, std::size_t bytes) {
    if (bytes > room()) [[unlikely]]
      grow(bytes);
    if (bytes != 0) std::memcpy(next_, from, bytes);  // an empty vector's data() may be null
    next_ += bytes;
  }

  /// The object representation of a scalar, or of anything else whose bytes are its value.
  template <class T>
  void put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (sizeof(T) > room()) [[unlikely]]
      grow(sizeof(T));
    std::memcpy(next_, std::addressof(value), sizeof(T));
    next_ += sizeof(T);
  }

  /// Uninitialised room of so many bytes at the end, now part of the content.
  [[nodiscard]] std::byte* extend(std::size_t bytes) {
    if (bytes > room()) [[unlikely]]
      grow(bytes);
    return std::exchange(next_, next_ + bytes);
  }

  [[nodiscard]] std::byte* data() noexcept { return begin_; }
  [[nodiscard]] const std::byte* data() const noexcept { return begin_; }
  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(next_ - begin_); }
  [[nodiscard]] std::size_t capacity() const noexcept { return static_cast<std::size_t>(end_ - begin_); }
  /// Whether the external storage was too small, so that the content is on the heap.
  [[nodiscard]] bool spilled() const noexcept { return external_ != nullptr && begin_ != external_; }

  void reserve(std::size_t total) {
    if (total > capacity()) grow(total - size());
  }
  /// Drops everything beyond the first `bytes`, attachments made since included: undoes a half-encoded value.
  void resize_down(std::size_t bytes) noexcept;
  /// Empties the writer, back into external storage if it has some. Keeps its memory.
  void clear() noexcept;
  /// Gives back heap memory of more than `keep` bytes. Only for an empty writer.
  void trim(std::size_t keep) noexcept;
  /// Hands the content over and leaves the writer empty: take the attachments first. Copies only what lies in external
  /// storage.
  [[nodiscard]] byte_block release();

  /// Counts how deep values lie in one another, for as long as it lives: a list of a million links must end in an
  /// exception and not in a stack overflow.
  class nesting {
   public:
    explicit nesting(writer& out) : out_(out) {
      if (++out_.depth_ > max_depth) [[unlikely]] {
        --out_.depth_;
        fail_depth();
      }
    }
    nesting(const nesting&) = delete;
    nesting& operator=(const nesting&) = delete;
    ~nesting() { --out_.depth_; }

   private:
    writer& out_;
  };
  static constexpr unsigned max_depth = 4096;  // about 1 MB of stack
  [[noreturn]] static void fail_depth();

  /// Sends a descriptor beside the bytes. Throws `persist_error` where the channel cannot carry one.
  void attach(descriptor what);
  [[nodiscard]] std::vector<descriptor> take_attachments() noexcept;
  [[nodiscard]] bool has_attachments() const noexcept { return !attachments_.empty(); }
  [[nodiscard]] bool carries_descriptors() const noexcept { return carries_descriptors_; }
  void carry_descriptors(bool can) noexcept { carries_descriptors_ = can; }

 private:
  [[nodiscard]] std::size_t room() const noexcept { return static_cast<std::size_t>(end_ - next_); }
  void grow(std::size_t more);
  void drop_attachments() noexcept;

  std::byte* external_ = nullptr;
  std::size_t external_capacity_ = 0;
  std::unique_ptr<std::byte, free_bytes> heap_;
  std::size_t heap_capacity_ = 0;
  std::byte* begin_ = nullptr;
  std::byte* next_ = nullptr;
  std::byte* end_ = nullptr;
  std::vector<descriptor> attachments_;
  std::vector<std::size_t> attached_at_;  // where in the bytes, so that undoing a value undoes its attachments
  bool carries_descriptors_ = false;
  unsigned depth_ = 0;
};

}  // namespace lenskit::detail
