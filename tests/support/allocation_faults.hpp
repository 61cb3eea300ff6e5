// Faults at exact allocations, in a program that allocation_faults.cpp is a part of: it replaces operator new, and does
// nothing else until a fault is set.
#pragma once

#include <array>
#include <cstddef>
#include <span>

namespace lenskit::tests {

/// Whose allocations are counted, and fail.
enum class allocations_of { this_process, descendants };

/// One allocation, or all from one on, throws std::bad_alloc. At most one of these at a time. Counted over all threads,
/// and over all descendants, of which the count is one.
class allocation_fault {
 public:
  enum class kind { once, from_then_on };

  /// The allocation that `which` names, from 1; 0 only counts.
  allocation_fault(long which, allocations_of whose, kind what = kind::once) noexcept;
  /// One of so many allocations fails, drawn from `seed`.
  struct rate {
    unsigned one_of = 0;
    std::size_t seed = 0;
  };
  allocation_fault(rate how_often, allocations_of whose) noexcept;
  ~allocation_fault() { stop(); }
  allocation_fault(const allocation_fault&) = delete;
  allocation_fault& operator=(const allocation_fault&) = delete;

  /// There is memory again.
  void end() noexcept { stop(); }
  static void stop() noexcept;
  // Of the latest fault, in whichever process of this program it was set.
  [[nodiscard]] static long failed() noexcept;
  [[nodiscard]] static long counted() noexcept;
  /// Who asked for the memory that was refused first, innermost first: addresses for addr2line.
  [[nodiscard]] static std::span<void* const> asked_by() noexcept;
};

}  // namespace lenskit::tests
