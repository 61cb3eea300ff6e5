// What keeps this process from being forked: reasons with a predicate each.
#pragma once

#include <functional>
#include <memory>
#include <string>

namespace lenskit::detail {

struct fork_objection {
  std::string why;
  std::function<bool()> holds;
};

void raise_objection(std::shared_ptr<const fork_objection> objection);
void drop_objection(const std::shared_ptr<const fork_objection>& objection) noexcept;

/// Throws fork_refused if one of the objections holds, with its reason.
void ask_fork_objections();

}  // namespace lenskit::detail
