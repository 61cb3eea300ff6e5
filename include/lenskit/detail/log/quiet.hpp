// Forking while other threads log.
#pragma once

#include <optional>
#include <type_traits>
#include <utility>

namespace lenskit::detail {

/// Calls `call(context)` with everything flushed and spdlog's registry held. See `with_loggers_quiet`.
void call_with_loggers_quiet(void (*call)(void*), void* context);

/// Whether the registry was held, and so is whole and free in the child, at the last `with_loggers_quiet` of this
/// thread or the one it was forked from.
[[nodiscard]] bool registry_was_quiet() noexcept;

/// Runs `fork_it` at a moment when a child can be cut off: loggers and the standard streams are flushed, so that
/// nothing buffered is written twice (failure F8), and no other thread is in spdlog's registry, whose mutex would stay
/// locked in the child for ever (F2). Returns, in parent and child, what `fork_it` returns; its exceptions pass
/// through.
///
/// Blocks for what the sinks take to flush, but never longer than about two seconds: a sink that is stuck, a stream
/// whose reader sleeps, or a registry that somebody holds for good are gone without. `fork_it` must not use spdlog.
template <class F>
auto with_loggers_quiet(F&& fork_it) {
  using result = std::invoke_result_t<F&>;
  std::optional<result> answer;
  auto run = [&] { answer.emplace(fork_it()); };
  call_with_loggers_quiet([](void* context) { (*static_cast<decltype(run)*>(context))(); }, &run);
  return std::move(*answer);
}

}  // namespace lenskit::detail
