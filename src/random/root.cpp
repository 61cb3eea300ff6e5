#include <lenskit/random.hpp>

#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/os/worker_state.hpp>
#include <lenskit/detail/share/task_seed.hpp>

#include <memory>
#include <stdexcept>

namespace lenskit {
namespace {

// A root is never freed, because `root_seed` hands out references; a program has few. The chain keeps the replaced
// ones reachable. There is no lock here that another thread could hold at a fork.
struct root {
  seed_sequence seed;
  root* replaced;
  pid_t maker = detail::sys::getpid();
};

constinit std::atomic<root*> current_root{nullptr};

void replace_root(seed_sequence seed) {
  auto* fresh = new root{std::move(seed), current_root.load(std::memory_order_acquire)};
  while (!current_root.compare_exchange_weak(fresh->replaced, fresh, std::memory_order_acq_rel)) {}
}

root& known_root() {
  if (root* known = current_root.load(std::memory_order_acquire)) return *known;
  auto fresh = std::make_unique<root>(root{seed_sequence(), nullptr});
  root* none = nullptr;
  if (current_root.compare_exchange_strong(none, fresh.get(), std::memory_order_acq_rel)) return *fresh.release();
  return *none;
}

seed_sequence& program_root() { return known_root().seed; }

seed_sequence::key_type extended(seed_sequence::key_type key, std::uint64_t number) {
  key.push_back(number);
  return key;
}

// A pool worker has the root of the program as it was at the fork, and so has every other: its next child would be the
// next child of all of them, and of the program.
bool has_copied_root() {
  return detail::current_role() == detail::process_role::pool_worker && known_root().maker != detail::sys::getpid();
}

// The spawn key of the running task's next child.
seed_sequence::key_type next_key_in_task(detail::task_place& task) {
  return extended(extended(task.call->key(), task.index), task.children++);
}

}  // namespace

void init_rng(std::uint64_t seed) { replace_root(seed_sequence(seed)); }

const seed_sequence& root_seed() {
  const detail::task_place& task = detail::this_task;
  return task.call != nullptr ? task.call->root() : program_root();
}

seed_sequence task_seed() {
  const detail::task_place& task = detail::this_task;
  if (task.call == nullptr) throw std::logic_error("cannot give a task seed: no task is running in this thread");
  return seed_sequence(task.call->root().entropy(), extended(task.call->key(), task.index));
}

namespace detail {

seed_sequence next_child_seed() {
  task_place& task = this_task;
  if (task.call == nullptr) {
    if (has_copied_root())
      throw std::logic_error(
          "cannot derive a new seed: this thread of a worker runs no task, and every worker would get the same one; "
          "derive it in the task and hand it to the thread, or derive it with keys");
    return program_root().spawn();
  }
  return seed_sequence(task.call->root().entropy(), next_key_in_task(task));
}

seed_sequence keyed_seed(std::span<const std::uint64_t> keys) {
  const seed_sequence& base = root_seed();
  seed_sequence::key_type key = base.spawn_key();
  key.insert(key.end(), keys.begin(), keys.end());
  return seed_sequence(base.entropy(), std::move(key));
}

call_seed next_call_seed() {
  task_place& task = this_task;
  if (task.call != nullptr) return task.call->with_key(next_key_in_task(task));
  // Its tasks need not want seeds at all, so this is no error; fresh entropy repeats nowhere.
  if (has_copied_root()) return {std::make_shared<const seed_sequence>(), {}};
  seed_sequence& root = program_root();
  return {std::shared_ptr<const seed_sequence>(std::shared_ptr<void>(), &root), root.claim_key()};  // never freed
}

void enter_root_seed(const seed_sequence& seed) {
  leave_task();
  replace_root(seed);
}

}  // namespace detail
}  // namespace lenskit
