#include <lenskit/fork_guard.hpp>

#include <stdexcept>
#include <utility>

namespace lenskit {

fork_guard::fork_guard(std::string why, std::function<bool()> refuses) {
  if (!refuses) throw std::invalid_argument("a fork guard needs a predicate, this one has none: " + why);
  objection_ =
      std::make_shared<const detail::fork_objection>(detail::fork_objection{std::move(why), std::move(refuses)});
  detail::raise_objection(objection_);
}

fork_guard::~fork_guard() { detail::drop_objection(objection_); }

}  // namespace lenskit
