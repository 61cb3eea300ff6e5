// One call in a subprocess of its own.
#pragma once

#include <lenskit/detail/dispatch/call_check.hpp>
#include <lenskit/detail/dispatch/decode_result.hpp>
#include <lenskit/detail/dispatch/dispatcher.hpp>
#include <lenskit/detail/dispatch/time_limit.hpp>
#include <lenskit/detail/worker/typed_tasks.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace lenskit {

struct run_sp_options {
  detail::time_limit timeout{};  ///< running time of the call, std::optional of nanoseconds
  std::stop_token stop_token{};  ///< ends it with `task_cancelled`
};

namespace detail {

/// A pool of one worker for one task, with `place` inherited. Throws std::invalid_argument, std::system_error.
[[nodiscard]] std::unique_ptr<task_stream> start_subprocess(const run_sp_options& options,
                                                            std::shared_ptr<workplace> place, body_id body);

/// In the subprocess, before the call: it is not a task of a map call, and has a root seed of its own.
void begin_subprocess_call() noexcept;

template <class Call>
void run_subprocess_call(workplace& place, reader&, recorder& out) {
  auto& here = static_cast<typed_workplace<std::monostate, Call>&>(place);
  using result = value_of_result<std::invoke_result_t<Call&>>;
  while (out.next()) {
    begin_subprocess_call();
    std::optional<result> value;
    try {
      value.emplace(value_of(here.fn()));
    } catch (...) {
      out.failure(std::current_exception());
      continue;
    }
    out.value([&](writer& to) { encode_result(to, *value); });
  }
}

template <class Fn, class... Args>
auto run_in_subprocess(const run_sp_options& options, Fn&& fn, Args&&... args) {
  using returned = std::invoke_result_t<Fn&&, Args&&...>;
  auto call = [function = std::forward_as_tuple(std::forward<Fn>(fn)),
               arguments = std::forward_as_tuple(std::forward<Args>(args)...)]() mutable -> returned {
    return std::apply(
        [&](auto&&... each) -> returned {
          return std::invoke(std::get<0>(std::move(function)), std::forward<decltype(each)>(each)...);
        },
        std::move(arguments));
  };
  using call_type = decltype(call);
  constexpr task_body body = &run_subprocess_call<call_type>;
  auto place =
      std::make_shared<typed_workplace<std::monostate, call_type>>(std::make_shared<std::monostate>(), std::move(call));
  const auto stream = start_subprocess(options, std::move(place), body_entry<body>.id());
  if (stream->next() == task_stream::step::failure) std::rethrow_exception(stream->failure());
  return decode_result<value_of_result<returned>>(*stream);
}

}  // namespace detail

/// Runs `fn(args...)` in a forked subprocess and returns its value: isolation, not parallelism.
///
///     auto persisted = lenskit::run_sp([&] {
///       auto model = train(ratings);                   // the memory that training takes ends with the subprocess
///       auto shared = lenskit::persist(model);
///       return std::move(shared.transfer());
///     });
///
/// `fn` and `args` are inherited, not copied: the subprocess works on its own image of the parent's memory, so nothing
/// it changes is seen here. Only the result crosses, as a value; void becomes std::monostate. Logs and progress reach
/// the parent; the root seed there is the next child of the parent's.
///
/// Blocks until the call has ended one way or another: always returns or throws, whatever the subprocess does. Throws
/// what `fn` threw (with `task_error`), `worker_died`, `task_timeout`, `task_cancelled`, `serialization_error`,
/// std::system_error if no process can be created, std::invalid_argument for a timeout that is not positive.
/// Thread-safe; may be used in workers.
///
/// LensKit: `run_sp(func, *args, **kwargs)`, which waits for ever if the subprocess dies.
template <class Fn, class... Args>
auto run_sp(const run_sp_options& options, Fn&& fn, Args&&... args) {
  static_assert(std::is_invocable_v<Fn&&, Args&&...>,
                "lenskit: the function cannot be called with these arguments: compare its parameters with them");
  if constexpr (!std::is_invocable_v<Fn&&, Args&&...>) {
    return detail::refused();
  } else if constexpr (!detail::returns_value<std::invoke_result_t<Fn&&, Args&&...>>()) {
    return detail::refused();
  } else {
    return detail::run_in_subprocess(options, std::forward<Fn>(fn), std::forward<Args>(args)...);
  }
}

/// As above, without options.
template <class Fn, class... Args>
requires(!std::is_same_v<std::remove_cvref_t<Fn>, run_sp_options>) auto run_sp(Fn&& fn, Args&&... args) {
  return run_sp(run_sp_options{}, std::forward<Fn>(fn), std::forward<Args>(args)...);
}

}  // namespace lenskit
