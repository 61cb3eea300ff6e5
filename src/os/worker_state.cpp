#include <lenskit/detail/os/worker_state.hpp>

#include <atomic>

namespace lenskit::detail {
namespace {

constexpr int no_index = -1;
constexpr int no_role = -1;

// Atomic only because a worker's own threads may read while nobody writes any more; plain words would do on any
// machine, but not for the thread sanitizer.
std::atomic<int> process_role_now{static_cast<int>(process_role::parent)};
std::atomic<int> process_index_now{no_index};

thread_local int thread_role_now = no_role;
thread_local int thread_index_now = no_index;

}  // namespace

void enter_role(process_role role, std::optional<int> index) noexcept {
  thread_role_now = no_role;
  thread_index_now = no_index;
  process_index_now.store(index.value_or(no_index), std::memory_order_relaxed);
  process_role_now.store(static_cast<int>(role), std::memory_order_relaxed);
}

role_scope::role_scope(process_role role, std::optional<int> index) noexcept
    : outer_role_(thread_role_now), outer_index_(thread_index_now) {
  thread_role_now = static_cast<int>(role);
  thread_index_now = index.value_or(no_index);
}

role_scope::~role_scope() {
  thread_role_now = outer_role_;
  thread_index_now = outer_index_;
}

process_role current_role() noexcept {
  if (thread_role_now != no_role) return static_cast<process_role>(thread_role_now);
  return static_cast<process_role>(process_role_now.load(std::memory_order_relaxed));
}

std::optional<int> current_index() noexcept {
  const int index = thread_role_now != no_role ? thread_index_now : process_index_now.load(std::memory_order_relaxed);
  if (index == no_index) return std::nullopt;
  return index;
}

}  // namespace lenskit::detail
