#include "chaos_faults.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace lenskit::soak::chaos {

const std::vector<task_fault>& task_faults() {
  static const std::vector<task_fault> all = [] {
    std::vector<task_fault> result{{.name = "healthy", .fate = answers()}};
    for (auto list : {deadly_faults(), thrown_faults(), habits(), hangs()})
      std::move(list.begin(), list.end(), std::back_inserter(result));
    return result;
  }();
  return all;
}

std::vector<std::string>& kinds() {
  static std::vector<std::string> names = [] {
    std::vector<std::string> result;
    for (const auto& each : task_faults()) result.emplace_back(each.name);
    return result;
  }();
  return names;
}

std::size_t kind_of(std::string_view name) {
  auto& names = kinds();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) names.emplace_back(name);
  return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

void struck(std::size_t kind) {
  if (kind < most_kinds) ++the_tally().struck[kind];
}

}  // namespace lenskit::soak::chaos
