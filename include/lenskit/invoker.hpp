// The invoker: a model and a function, ready to be applied to many arguments by a pool of workers.
#pragma once

#include <lenskit/detail/dispatch/call_check.hpp>
#include <lenskit/detail/dispatch/dispatcher.hpp>
#include <lenskit/detail/dispatch/time_limit.hpp>
#include <lenskit/detail/dispatch/zip_source.hpp>
#include <lenskit/detail/worker/typed_tasks.hpp>
#include <lenskit/engine.hpp>
#include <lenskit/error.hpp>
#include <lenskit/map_range.hpp>
#include <lenskit/persist.hpp>
#include <lenskit/progress.hpp>
#include <lenskit/settings.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <ranges>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>

namespace lenskit {

struct invoker_options {
  std::optional<int> n_jobs{};  ///< workers; default `proc_count({.max_default = 4})`
  lenskit::engine engine = lenskit::engine::automatic;
  lenskit::persist_method persist_method = lenskit::persist_method::automatic;  ///< how processes get the model
  detail::time_limit task_timeout{};  ///< running time of one task, std::optional of nanoseconds; processes only
  int max_retries = 0;                ///< further runs of a task whose worker died
  std::size_t chunk_size = 0;         ///< tasks per message; 0: adaptive
  std::size_t buffer_size = 0;        ///< inputs pulled but not yet yielded; 0: chosen
  std::stop_token stop_token{};       ///< ends every map call with `task_cancelled`
  std::shared_ptr<lenskit::progress> progress{};       ///< told of every task: dispatched, in-progress, finished
  std::optional<parallel_settings> worker_parallel{};  ///< settings in workers; default `subprocess_config()`
};

namespace detail {

/// Options after defaults and checks.
struct pool_plan {
  int n_jobs = 1;
  lenskit::engine engine = lenskit::engine::in_process;
  bool stores_model = false;  ///< for workers that are processes
  parallel_settings worker_settings{};
};

[[noreturn]] void refuse_job_count(const std::string& count);

/// `count` as an int. Throws std::invalid_argument if it is none.
template <std::integral Count>
[[nodiscard]] int job_count(Count count) {
  using range = std::numeric_limits<int>;
  const bool fits =
      std::unsigned_integral<Count>
          ? static_cast<unsigned long long>(count) <= static_cast<unsigned long long>(range::max())
          : static_cast<long long>(count) >= range::min() && static_cast<long long>(count) <= range::max();
  if (!fits) refuse_job_count(std::to_string(count));
  return static_cast<int>(count);
}

/// Throws std::invalid_argument naming the option and its value, settings_error.
[[nodiscard]] pool_plan plan_pool(const invoker_options& options);
/// Starts the workers. Throws std::system_error, std::invalid_argument.
[[nodiscard]] std::shared_ptr<dispatcher> start_pool(const pool_plan& plan, const invoker_options& options,
                                                     std::shared_ptr<workplace> place);
/// The plan of the next map call: takes the root's next seed.
[[nodiscard]] call_plan next_call(body_id body, result_order order);

template <class M>
struct model_of_impl {
  using type = M;
};
template <class M>
struct model_of_impl<persisted_model<M>> {
  using type = M;
};
/// The model behind an invoker's first argument.
template <class Argument>
using model_of = typename model_of_impl<std::remove_cvref_t<Argument>>::type;

template <class R>
void put_value(task_stream& stream, task_stream::step step, std::optional<R>& into) {
  if (step == task_stream::step::failure) std::rethrow_exception(stream.failure());
  into.emplace(decode_result<R>(stream));
}

// Says which of the two it holds: a bool, among others, can be made from an exception_ptr.
template <class R>
outcome<R> outcome_at(task_stream& stream, task_stream::step step) {
  if (step == task_stream::step::failure) return outcome<R>(boost::system::in_place_error, stream.failure());
  try {
    return outcome<R>(boost::system::in_place_value, decode_result<R>(stream));
  } catch (...) {
    return outcome<R>(boost::system::in_place_error, std::current_exception());
  }
}

template <class R>
void put_outcome(task_stream& stream, task_stream::step step, std::optional<outcome<R>>& into) {
  into.emplace(outcome_at<R>(stream, step));
}

template <class R>
void put_completed(task_stream& stream, task_stream::step step, std::optional<completed<R>>& into) {
  auto result = outcome_at<R>(stream, step);
  into.emplace(completed<R>{static_cast<std::size_t>(stream.index()), std::move(result)});
}

}  // namespace detail

/// Applies `fn(model, args...)` to many arguments, with a fixed pool of workers that share one copy of the model.
///
///     lenskit::invoker inv(model, top10);
///     for (auto& recommendations : inv.map(users)) write(recommendations);
///
/// `model`: an lvalue is not copied in the parent and must outlive a run in_process, in threads or with
/// `persist_method::inherit`; an rvalue is moved in; a `persisted_model<M>` is used as it is and not closed. Workers
/// see it read-only. An array or a string literal is a model too, and is given to `fn` as one. A model of a derived
/// class that is given by its base is never cut off: processes refuse it (persist_error) unless they inherit it, and
/// every engine refuses to move it in. `fn`: anything that can be called with `const Model&` and arguments; each worker
/// has its own copy.
///
/// The constructor persists the model and starts the workers, and returns when the first of them runs: the others are
/// forked from the same state of this process while it has its first task. Throws std::invalid_argument for options
/// that make no sense, persist_error (no_space), std::system_error if no worker can be created; leaves nothing behind
/// then. One is enough for a pool, which is smaller where descriptors, processes or threads are few, with a warning in
/// the log: a later process that cannot be created is tried again, and missed until then; a thread is missed for good.
/// The threads of this process's own BLAS and OpenMP stay as they are. Workers print what tasks have printed before
/// their results arrive, and wait for a reader that pauses. Threads of engine threads block the program's signals, but
/// SIGPROF and those of their own faults. Workers that outnumber the processors are scheduled as SCHED_BATCH.
/// Thread-safe: several threads may map at once, and several ranges may be live; one that is cancelled (pthread_cancel)
/// ends at its next result. In a forked process that inherited it every call throws invoker_closed; inside a task it
/// cannot be used.
///
/// LensKit: `invoker(model, func, n_jobs, persist_method)` and `ModelOpInvoker`; there, a context manager.
template <class Model, class Fn>
class invoker {
 public:
  template <class M>
  requires std::same_as<detail::model_of<M>, Model> invoker(M&& model, Fn fn, invoker_options options = {})
      : options_(std::move(options)) {
    plan_ = detail::plan_pool(options_);
    auto shared = hold(std::forward<M>(model));
    auto place = std::make_shared<detail::typed_workplace<Model, Fn>>(std::move(shared), std::move(fn));
    pool_ = detail::start_pool(plan_, options_, std::move(place));
  }

  template <class M, std::integral Count>
  requires std::same_as<detail::model_of<M>, Model> invoker(M&& model, Fn fn, Count n_jobs)
      : invoker(std::forward<M>(model), std::move(fn), invoker_options{.n_jobs = detail::job_count(n_jobs)}) {}

  invoker(invoker&&) noexcept = default;
  invoker& operator=(invoker&&) noexcept = default;
  /// Gives the pool up. It ends, within about two seconds whatever its tasks do, when no range of it lives any more.
  ~invoker() = default;

  /// What `fn` returns for elements of these ranges, as a value: std::monostate for void.
  template <class... Rs>
  using result_of = detail::value_of_result<
      detail::called_result<Model, Fn, std::ranges::range_value_t<std::remove_reference_t<Rs>>...>>;

  /// Results in the order of the input. Does not block; the range does. Ranges are zipped, the shortest ends the call;
  /// lvalue ranges are referred to, rvalue ranges are moved in. Throws invoker_closed, broken_pool.
  template <class... Rs>
  [[nodiscard]] auto map(Rs&&... ranges) {
    if constexpr (detail::is_right_call<Model, Fn, Rs...>()) {
      using result = result_of<Rs...>;
      auto stream = open<result>(detail::result_order::of_input, std::forward<Rs>(ranges)...);
      return map_range<result>(std::move(stream), &detail::put_value<result>);
    } else {
      return detail::refused();
    }
  }

  /// As `map`, but a failed task is an outcome and throws nothing.
  template <class... Rs>
  [[nodiscard]] auto map_outcomes(Rs&&... ranges) {
    if constexpr (detail::is_right_call<Model, Fn, Rs...>()) {
      using result = result_of<Rs...>;
      auto stream = open<result>(detail::result_order::of_input, std::forward<Rs>(ranges)...);
      return map_range<outcome<result>>(std::move(stream), &detail::put_outcome<result>);
    } else {
      return detail::refused();
    }
  }

  /// As `map_outcomes`, but in the order in which tasks finish, with their indices.
  template <class... Rs>
  [[nodiscard]] auto as_completed(Rs&&... ranges) {
    if constexpr (detail::is_right_call<Model, Fn, Rs...>()) {
      using result = result_of<Rs...>;
      auto stream = open<result>(detail::result_order::of_completion, std::forward<Rs>(ranges)...);
      return map_range<completed<result>>(std::move(stream), &detail::put_completed<result>);
    } else {
      return detail::refused();
    }
  }

  // Values in braces have no type, and would be refused in many words.
  template <class... Ts, std::size_t... Sizes>
  requires(sizeof...(Ts) > 0) detail::refused map(Ts (&&... values)[Sizes]) { return refuse_braces(values...); }
  template <class... Ts, std::size_t... Sizes>
  requires(sizeof...(Ts) > 0) detail::refused map_outcomes(Ts (&&... values)[Sizes]) {
    return refuse_braces(values...);
  }
  template <class... Ts, std::size_t... Sizes>
  requires(sizeof...(Ts) > 0) detail::refused as_completed(Ts (&&... values)[Sizes]) {
    return refuse_braces(values...);
  }

  /// The number of workers that were asked for, or chosen; there may be fewer (see above). 1 for engine in_process.
  [[nodiscard]] int n_jobs() const noexcept { return plan_.n_jobs; }
  /// The engine chosen, never automatic.
  [[nodiscard]] lenskit::engine engine() const noexcept { return plan_.engine; }

  /// Ends the pool now: tasks that run are stopped, live ranges throw invoker_closed when they have nothing left to
  /// give. Blocks for about two seconds at most with processes, and as long as running tasks take with threads.
  void shutdown() noexcept {
    if (pool_) pool_->shut_down();
  }

 private:
  template <class... Arrays>
  static detail::refused refuse_braces(Arrays&...) {
    static_assert(sizeof...(Arrays) == 0,
                  "lenskit: map takes ranges, and values in braces are none: write map(std::vector{1, 2})");
    return {};
  }

  template <class R, class... Rs>
  std::unique_ptr<detail::task_stream> open(detail::result_order order, Rs&&... ranges) {
    if (!pool_) throw invoker_closed("invoker was moved from");
    pool_->check_caller();
    constexpr detail::task_body body =
        &detail::run_tasks<Model, Fn, std::ranges::range_value_t<std::remove_reference_t<Rs>>...>;
    auto source = std::make_unique<detail::zip_source<Rs...>>(std::forward<Rs>(ranges)...);
    detail::stream_options how{detail::result_bytes<R>, options_.chunk_size, options_.buffer_size, options_.progress};
    return std::make_unique<detail::task_stream>(
        pool_, std::move(source), detail::next_call(detail::body_entry<body>.id(), order), std::move(how));
  }

  using kept = detail::kept_as<Model>;

  // The model as the workers will see it.
  std::shared_ptr<const kept> hold(persisted_model<kept>& persisted) { return detail::share_model(persisted); }
  std::shared_ptr<const kept> hold(persisted_model<kept>&& persisted) { return detail::share_model(persisted); }
  std::shared_ptr<const kept> hold(const Model& model) {
    std::shared_ptr<const kept> borrowed(std::shared_ptr<void>(), std::addressof(detail::as_kept(model)));
    return plan_.stores_model ? persist_for_workers(std::move(borrowed)) : borrowed;
  }
  std::shared_ptr<const kept> hold(Model&& model) {
    detail::check_whole_model(model);  // moving it would cut it off
    auto owned = std::make_shared<const kept>(std::move(const_cast<kept&>(detail::as_kept(model))));
    return plan_.stores_model ? persist_for_workers(std::move(owned)) : owned;
  }

  // Persists and maps `model` here, before the workers are forked: they inherit the mapping and what was reconstructed.
  // A model that was moved in goes once it is stored, unless workers inherit that very object.
  std::shared_ptr<const kept> persist_for_workers(std::shared_ptr<const kept> model) {
    auto persisted = detail::persist_for_pool(std::move(model), options_.persist_method);
    return detail::share_model(persisted);
  }

  invoker_options options_;
  detail::pool_plan plan_;
  std::shared_ptr<detail::dispatcher> pool_;
};

template <class M, class F>
invoker(M&&, F&&, invoker_options = {}) -> invoker<detail::model_of<M>, std::decay_t<F>>;
template <class M, class F, std::integral Count>
invoker(M&&, F&&, Count) -> invoker<detail::model_of<M>, std::decay_t<F>>;

}  // namespace lenskit
