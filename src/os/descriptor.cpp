#include <lenskit/detail/os/cancel_shield.hpp>
#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/os/system.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace lenskit::detail {
namespace {

// One bit per descriptor number, up to Linux's default fs.nr_open. It lies in zeroed memory that is never touched
// beyond the highest number in use, and needs no lock: a forked child can read it whatever the parent was doing.
constexpr std::size_t capacity = std::size_t{1} << 20;
constexpr std::size_t word_bits = 64;
std::array<std::atomic<std::uint64_t>, capacity / word_bits> listed_descriptors{};
std::atomic<std::size_t> highest_word{0};
std::atomic<unsigned> descriptor_generation{0};  // raised in each forked child

bool listable(int fd) noexcept { return fd >= 0 && static_cast<std::size_t>(fd) < capacity; }
std::size_t word_of(int fd) noexcept { return static_cast<std::size_t>(fd) / word_bits; }
std::uint64_t bit_of(int fd) noexcept { return std::uint64_t{1} << (static_cast<std::size_t>(fd) % word_bits); }

void enlist(int fd) noexcept {
  if (!listable(fd)) return;
  listed_descriptors[word_of(fd)].fetch_or(bit_of(fd));
  auto seen = highest_word.load();
  while (seen < word_of(fd) && !highest_word.compare_exchange_weak(seen, word_of(fd))) {}
}

void strike(int fd) noexcept {
  if (listable(fd)) listed_descriptors[word_of(fd)].fetch_and(~bit_of(fd));
}

struct gate {
  std::recursive_mutex mutex;
  gate* inherited = nullptr;  // the parent's, so that a search for leaks still finds it
};

// Never destroyed: a pool may outlive static destruction. Not a local static: a thread that forked while another made
// it would leave a child that waits for that thread in the handler below.
constinit std::atomic<gate*> current{nullptr};

gate& current_gate() {
  auto* known = current.load();
  if (known != nullptr) return *known;
  auto made = std::make_unique<gate>();
  return current.compare_exchange_strong(known, made.get()) ? *made.release() : *known;
}

// Whoever forks, another thread may hold the gate meanwhile, and would never open it in the child.
void renew_gate() noexcept {
  auto* const inherited = current.load();
  if (inherited == nullptr) return;
  auto* const fresh = new (std::nothrow) gate;
  if (fresh == nullptr) return;
  fresh->inherited = inherited;
  current.store(fresh);
}

// Before there is a gate, and before there are threads: ahead of every initialiser of the program that is linked with
// this file, since one of them may make a pool.
[[gnu::constructor(101)]] void renew_in_children() noexcept { sys::at_fork_in_child(renew_gate); }

// In a program that has closed its standard streams the kernel gives out their numbers: what anybody prints would then
// go into a connection. Another number, unless there is none.
int off_standard_streams(int fd) noexcept {
  if (fd < 0 || fd >= sys::first_free_descriptor) return fd;
  const int other = sys::dup(fd);
  if (other < 0) return fd;
  ::close(fd);
  return other;
}

}  // namespace

descriptor::descriptor(int fd) noexcept
    : fd_(off_standard_streams(fd)), generation_(descriptor_generation.load(std::memory_order_relaxed)) {
  enlist(fd_);
}

void descriptor::reset() noexcept {
  if (fd_ < 0) return;
  if (generation_ != descriptor_generation.load(std::memory_order_relaxed)) {
    fd_ = -1;
    return;
  }
  const auto gate = descriptor_gate();
  const cancel_shield shield;
  ::close(release());
}

int descriptor::release() noexcept {
  const int fd = std::exchange(fd_, -1);
  strike(fd);
  return fd;
}

gate_lock descriptor_gate() { return gate_lock(current_gate().mutex); }

bool descriptors_left(int count, int fd) noexcept {
  // The kernel gives out the lowest number that is free: where that is low, so far from the limit nobody need count.
  const auto limit = sys::descriptor_limit();
  if (static_cast<std::uint64_t>(fd) + static_cast<std::uint64_t>(count) < limit / 2) return true;
  const auto gate = descriptor_gate();
  std::array<descriptor, 64> taken;
  const auto wanted = std::min(static_cast<std::size_t>(count), taken.size());
  for (std::size_t i = 0; i < wanted; ++i) {
    taken[i] = descriptor(sys::dup(fd));
    if (!taken[i]) return false;
  }
  return true;
}

void close_inherited(std::initializer_list<int> keep) noexcept {
  descriptor_generation.fetch_add(1);
  for (std::size_t word = 0; word <= highest_word.load(); ++word) {
    auto bits = listed_descriptors[word].exchange(0);
    while (bits != 0) {
      const int fd = static_cast<int>(word * word_bits) + std::countr_zero(bits);
      bits &= bits - 1;
      if (std::find(keep.begin(), keep.end(), fd) == keep.end()) ::close(fd);
    }
  }
}

int descriptors_owned() noexcept {
  int count = 0;
  for (std::size_t word = 0; word <= highest_word.load(); ++word)
    count += std::popcount(listed_descriptors[word].load());
  return count;
}

}  // namespace lenskit::detail
