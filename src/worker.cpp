#include <lenskit/worker.hpp>

#include <lenskit/detail/os/worker_state.hpp>

namespace lenskit {

bool is_worker() noexcept { return detail::current_role() != detail::process_role::parent; }

bool is_mp_worker() noexcept { return detail::current_role() == detail::process_role::pool_worker; }

std::optional<int> worker_index() noexcept { return is_mp_worker() ? detail::current_index() : std::nullopt; }

}  // namespace lenskit
