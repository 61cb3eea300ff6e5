// The engines as the conformance suite runs them, one after the other.
#pragma once

#include <lenskit/detail/engines/table.hpp>
#include <lenskit/invoker.hpp>
#include <support/catch.hpp>

#include <string>
#include <vector>

namespace lenskit::tests {

/// The engines that this build can test: the thread sanitizer does not survive a fork beside threads.
inline std::vector<engine> every_engine() {
  std::vector<engine> engines;
  for (const auto& each : detail::engine_table()) {
#ifdef __SANITIZE_THREAD__
    if (each.isolates) continue;
#endif
    engines.push_back(each.which);
  }
  return engines;
}

inline std::string name_of(engine which) { return std::string(detail::row_of(which).name); }

inline invoker_options on(engine which, int n_jobs = 2) { return {.n_jobs = n_jobs, .engine = which}; }

/// Whether tasks that run in this engine use the memory of the program itself.
inline bool shares_memory(engine which) { return !detail::row_of(which).isolates; }

}  // namespace lenskit::tests

/// Repeats the test case on every engine, as `variable`.
#define ON_EVERY_ENGINE(variable)                                               \
  const auto variable = GENERATE(from_range(::lenskit::tests::every_engine())); \
  INFO("engine " << ::lenskit::tests::name_of(variable))

/// The same, but for in_process, where tasks run one by one when they are wanted.
#define ON_ENGINES_WITH_WORKERS(variable)                                                                \
  const auto variable = GENERATE(filter([](auto each) { return each != ::lenskit::engine::in_process; }, \
                                        from_range(::lenskit::tests::every_engine())));                  \
  INFO("engine " << ::lenskit::tests::name_of(variable))
