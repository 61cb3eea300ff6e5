// The engines of this build, and what tells them apart before they are started: everybody who names an engine, chooses
// one or asks what it can do looks here. What a running engine answers is in its `engine_traits`.
#pragma once

#include <lenskit/detail/dispatch/engine.hpp>
#include <lenskit/detail/worker/body.hpp>
#include <lenskit/engine.hpp>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace lenskit::detail {

/// What an engine is started with.
struct engine_start {
  std::shared_ptr<workplace> place;
  int workers = 1;
  bool keeps_time = false;  ///< tasks have a deadline
  /// Runs in each worker that is a process, before its first task, with its index.
  std::function<void(int)> enter_worker{};
};

struct engine_row {
  lenskit::engine which;
  std::string_view name;  ///< in messages, and as the doctor prints it
  bool isolates = false;  ///< workers are processes: they get the model stored, and share no memory with the program
  bool stops_tasks = false;
  bool has_one_worker = false;  ///< however many are wanted
  /// Throws std::system_error, std::invalid_argument.
  std::unique_ptr<worker_engine> (*start)(engine_start);
};

/// All but `automatic`, which is none.
[[nodiscard]] std::span<const engine_row> engine_table() noexcept;

/// Throws std::invalid_argument for `automatic` and for what is no engine.
[[nodiscard]] const engine_row& row_of(lenskit::engine which);

/// For messages: "in_process, threads and processes", or those of them that are `wanted`.
[[nodiscard]] std::string engine_names(bool (*wanted)(const engine_row&) = [](const engine_row&) { return true; });

}  // namespace lenskit::detail
