// The engines as the conformance suite runs them, one after the other.
#pragma once

#include <lenskit/invoker.hpp>
#include <support/catch.hpp>

#include <vector>

namespace lenskit::tests {

/// The engines that this build can test: the thread sanitizer does not survive a fork beside threads.
inline std::vector<engine> every_engine() {
#ifdef __SANITIZE_THREAD__
  return {engine::in_process, engine::threads};
#else
  return {engine::in_process, engine::threads, engine::processes};
#endif
}

inline const char* name_of(engine which) {
  switch (which) {
    case engine::automatic: return "automatic";
    case engine::in_process: return "in_process";
    case engine::threads: return "threads";
    case engine::processes: return "processes";
  }
  return "?";
}

inline invoker_options on(engine which, int n_jobs = 2) { return {.n_jobs = n_jobs, .engine = which}; }

/// Whether tasks that run in this engine use the memory of the program itself.
inline bool shares_memory(engine which) { return which != engine::processes; }

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
