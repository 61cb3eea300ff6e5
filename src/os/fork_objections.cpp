#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/detail/os/fork_objections.hpp>
#include <lenskit/error.hpp>

#include <algorithm>
#include <utility>
#include <vector>

namespace lenskit::detail {
namespace {

// Under the descriptor gate, which every fork of the library holds: so a worker never inherits it half changed.
std::vector<std::shared_ptr<const fork_objection>>& objections() {
  static auto* all = new std::vector<std::shared_ptr<const fork_objection>>;  // outlives static destruction
  return *all;
}

}  // namespace

void raise_objection(std::shared_ptr<const fork_objection> objection) {
  const auto gate = descriptor_gate();
  objections().push_back(std::move(objection));
}

void drop_objection(const std::shared_ptr<const fork_objection>& objection) noexcept {
  const auto gate = descriptor_gate();
  std::erase(objections(), objection);
}

void ask_fork_objections() {
  std::vector<std::shared_ptr<const fork_objection>> all;
  {
    const auto gate = descriptor_gate();
    all = objections();
  }
  for (const auto& each : all) {  // without the gate: a predicate may do anything
    if (each->holds()) throw fork_refused("a fork guard refuses: " + each->why);
  }
}

}  // namespace lenskit::detail
