#include <support/allocation_faults.hpp>

#include <execinfo.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

namespace lenskit::tests {
namespace {

constexpr int most_callers = 32;

// In memory that is shared with every process forked later, because what descendants allocate is counted together.
struct ledger {
  std::atomic<bool> counts{false};
  pid_t owner = 0;
  allocations_of whose = allocations_of::this_process;
  long which = 0;
  bool lasts = false;
  allocation_fault::rate often{};
  std::atomic<long> counted{0};
  std::atomic<long> failed{0};
  std::atomic<int> callers{0};
  std::array<void*, most_callers> asked_by{};
};

// Mapped before the first test looks at what there is, and for good: other threads allocate at any moment.
constinit std::atomic<ledger*> the_ledger{nullptr};

[[gnu::constructor]] void open_ledger() {
  void* const at = ::mmap(nullptr, sizeof(ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) std::abort();
  std::array<void*, 1> first{};
  ::backtrace(first.data(), 1);  // loads what it needs, which it could not do in the middle of an allocation
  the_ledger = ::new (at) ledger;
}

bool is_struck(const ledger& in, long at) noexcept {
  if (in.often.one_of == 0) return in.lasts ? in.which != 0 && at >= in.which : at == in.which;
  constexpr std::size_t odd = 0x9E3779B97F4A7C15U;
  auto lot = in.often.seed ^ (static_cast<std::size_t>(at) * odd);
  lot = (lot ^ (lot >> 29)) * odd;
  return (lot >> 32) % in.often.one_of == 0;
}

bool is_refused() noexcept {
  ledger* const in = the_ledger.load(std::memory_order_relaxed);
  if (in == nullptr || !in->counts.load(std::memory_order_acquire)) return false;
  if ((::getpid() == in->owner) != (in->whose == allocations_of::this_process)) return false;
  if (!is_struck(*in, ++in->counted)) return false;
  if (in->failed++ == 0) in->callers = ::backtrace(in->asked_by.data(), most_callers);
  return true;
}

void* allocate(std::size_t bytes) noexcept {
  return is_refused() ? nullptr : std::malloc(std::max<std::size_t>(bytes, 1));
}

void* allocate(std::size_t bytes, std::align_val_t alignment) noexcept {
  if (is_refused()) return nullptr;
  const auto unit = static_cast<std::size_t>(alignment);
  return std::aligned_alloc(unit, (std::max<std::size_t>(bytes, 1) + unit - 1) / unit * unit);
}

void* or_throw(void* made) {
  if (made == nullptr) throw std::bad_alloc();
  return made;
}

void arm(allocations_of whose, long which, bool lasts, allocation_fault::rate often) noexcept {
  auto& in = *the_ledger.load();
  in.owner = ::getpid();
  in.whose = whose;
  in.which = which;
  in.lasts = lasts;
  in.often = often;
  in.counted = 0;
  in.failed = 0;
  in.callers = 0;
  in.counts = true;
}

}  // namespace

allocation_fault::allocation_fault(long which, allocations_of whose, kind what) noexcept {
  arm(whose, which, what == kind::from_then_on, {});
}
allocation_fault::allocation_fault(rate how_often, allocations_of whose) noexcept { arm(whose, 0, false, how_often); }
void allocation_fault::stop() noexcept { the_ledger.load()->counts = false; }
long allocation_fault::failed() noexcept { return the_ledger.load()->failed; }
long allocation_fault::counted() noexcept { return the_ledger.load()->counted; }
std::span<void* const> allocation_fault::asked_by() noexcept {
  const auto& in = *the_ledger.load();
  return {in.asked_by.data(), static_cast<std::size_t>(in.callers.load())};
}

}  // namespace lenskit::tests

using lenskit::tests::allocate;
using lenskit::tests::or_throw;

void* operator new(std::size_t bytes) { return or_throw(allocate(bytes)); }
void* operator new[](std::size_t bytes) { return or_throw(allocate(bytes)); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes); }
void* operator new(std::size_t bytes, std::align_val_t unit) { return or_throw(allocate(bytes, unit)); }
void* operator new[](std::size_t bytes, std::align_val_t unit) { return or_throw(allocate(bytes, unit)); }
void* operator new(std::size_t bytes, std::align_val_t unit, const std::nothrow_t&) noexcept {
  return allocate(bytes, unit);
}
void* operator new[](std::size_t bytes, std::align_val_t unit, const std::nothrow_t&) noexcept {
  return allocate(bytes, unit);
}
void operator delete(void* at) noexcept { std::free(at); }
void operator delete[](void* at) noexcept { std::free(at); }
void operator delete(void* at, std::size_t) noexcept { std::free(at); }
void operator delete[](void* at, std::size_t) noexcept { std::free(at); }
void operator delete(void* at, std::align_val_t) noexcept { std::free(at); }
void operator delete[](void* at, std::align_val_t) noexcept { std::free(at); }
void operator delete(void* at, std::size_t, std::align_val_t) noexcept { std::free(at); }
void operator delete[](void* at, std::size_t, std::align_val_t) noexcept { std::free(at); }
void operator delete(void* at, const std::nothrow_t&) noexcept { std::free(at); }
void operator delete[](void* at, const std::nothrow_t&) noexcept { std::free(at); }
void operator delete(void* at, std::align_val_t, const std::nothrow_t&) noexcept { std::free(at); }
void operator delete[](void* at, std::align_val_t, const std::nothrow_t&) noexcept { std::free(at); }
