// One owner for each file descriptor of the library, and the list of all of them.
#pragma once

#include <initializer_list>
#include <mutex>
#include <utility>

namespace lenskit::detail {

/// Owns one descriptor and closes it. While owned it is listed, so that a forked child can close every descriptor
/// of the library that is not its own (failure D3). An object inherited by such a child is dead there: it closes
/// nothing, whatever its number has come to mean since. Move-only.
class descriptor {
 public:
  descriptor() noexcept = default;
  explicit descriptor(int fd) noexcept;
  descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)), generation_(other.generation_) {}
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(generation_, other.generation_);
    other.reset();
    return *this;
  }
  ~descriptor() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  void reset() noexcept;
  /// Gives the descriptor up: it is no longer listed, and the caller closes it.
  [[nodiscard]] int release() noexcept;

 private:
  int fd_ = -1;
  unsigned generation_ = 0;  // which process in a chain of forks made it
};

using gate_lock = std::unique_lock<std::recursive_mutex>;

/// Held while a descriptor is made and listed, or taken off the list and closed, and across a fork: so a child never
/// inherits a descriptor of the library that its list does not name. May be locked again by the thread that holds it.
gate_lock descriptor_gate();

/// Whether this process could have `count` more descriptors now. `fd`: any of its own.
[[nodiscard]] bool descriptors_left(int count, int fd) noexcept;

/// In a forked child: closes every listed descriptor except those in `keep`, which stay open but ownerless, and makes
/// every descriptor object made so far inert.
void close_inherited(std::initializer_list<int> keep) noexcept;

/// The number of descriptors the library owns now. For tests.
int descriptors_owned() noexcept;

}  // namespace lenskit::detail
