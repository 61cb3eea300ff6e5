// What this process, or this thread of it, is: the parent, a worker of a pool or a subprocess of `run_sp`.
#pragma once

#include <optional>

namespace lenskit::detail {

enum class process_role { parent, pool_worker, subprocess };

/// Gives the whole process its role. For a freshly forked child, before it has threads; it also forgets the role that
/// the forking thread had in the parent. `index` is the worker's place in its pool.
void enter_role(process_role role, std::optional<int> index) noexcept;

/// Gives the calling thread a role while it lives, over that of the process: for workers that are threads. Nests.
class role_scope {
 public:
  role_scope(process_role role, std::optional<int> index) noexcept;
  ~role_scope();
  role_scope(const role_scope&) = delete;
  role_scope& operator=(const role_scope&) = delete;

 private:
  int outer_role_;
  int outer_index_;
};

/// The role of the calling thread: its own, else that of the process.
process_role current_role() noexcept;

/// The index that goes with `current_role()`.
std::optional<int> current_index() noexcept;

}  // namespace lenskit::detail
