// Models that processes share: stored once, read by all.
#pragma once

#include <lenskit/detail/share/model_state.hpp>
#include <lenskit/detail/share/persisting.hpp>
#include <lenskit/persist_method.hpp>
#include <lenskit/shared_array.hpp>
#include <lenskit/sharing_mode.hpp>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <type_traits>
#include <utility>

namespace lenskit {

/// A handle of a model that `persist` stored.
///
///     auto stored = lenskit::persist(model);
///     lenskit::invoker inv(stored, top10);            // any number of invokers, one stored model
///     const als_model& same = stored.get();
///
/// Move-only. The stored bytes live until the handle and every model that was loaded from it are gone; so closing it
/// early is safe while an invoker still works. Exactly one process owns a file: the one that stored it, until it hands
/// it over with `transfer()`; in any other, a forked child too, closing and destroying removes nothing.
///
/// `get` may be called from several threads; everything else needs the handle to itself.
///
/// LensKit: lenskit.sharing.PersistedModel; there a model is loaded once in each worker, here once before they are
/// forked.
template <class M>
class persisted_model {
 public:
  persisted_model(persisted_model&&) noexcept = default;
  persisted_model& operator=(persisted_model&&) noexcept = default;
  ~persisted_model() = default;

  /// The model, loaded on the first call. Its `shared_array`s point straight into the mapping; everything else is
  /// copied. With the method `inherit` it is the very object that was given to `persist`.
  ///
  /// Valid until `close()` or the end of the handle. Throws persist_error if the handle is closed, or if what is stored
  /// is not what this program can have stored: another type, version, machine, or a damaged file.
  [[nodiscard]] const M& get() const { return *open_state().load(); }

  /// Releases what is stored; the owner removes the file. Again: nothing happens. Never throws, never blocks.
  void close() noexcept {
    if (state_) path_ = state_->path();
    state_.reset();
  }

  /// Marks the model so that whoever receives it as the result of `run_sp` becomes its owner.
  ///
  ///     auto trained = lenskit::run_sp([&] { auto p = lenskit::persist(train(data)); p.transfer(); return p; });
  ///
  /// Ownership passes at the moment the result is encoded, and once: this handle stays usable, and no owner any more.
  /// Throws persist_error if the handle is closed or no owner. Does not block.
  ///
  /// LensKit: sets is_owner to "transfer"; it too must then be pickled only once.
  persisted_model& transfer() {
    open_state().mark_transfer();
    return *this;
  }

  /// Whether closing this handle, in this process, ends what is stored.
  [[nodiscard]] bool is_owner() const noexcept { return state_ && state_->is_owner(); }
  /// How it is stored; never `automatic`.
  [[nodiscard]] persist_method method() const noexcept { return method_; }
  /// The file, absolute, that of a closed handle too; empty with the other methods.
  [[nodiscard]] std::filesystem::path path() const { return state_ ? state_->path() : path_; }

 private:
  using state = detail::model_state<M>;
  friend struct detail::codec<persisted_model>;
  friend std::shared_ptr<const M> detail::share_model<M>(persisted_model&);
  friend persisted_model detail::persist_as<M>(std::shared_ptr<const M>, const persist_options&, detail::naming);

  explicit persisted_model(std::unique_ptr<state> opened) : state_(std::move(opened)), method_(state_->method()) {}
  [[nodiscard]] state& open_state() const {
    if (!state_) detail::fail_closed();
    return *state_;
  }

  std::unique_ptr<state> state_;
  std::filesystem::path path_;  // of a closed handle
  persist_method method_;
};

/// Stores a model so that other processes can use it.
///
///     auto stored = lenskit::persist(model);                                              // shared memory
///     auto kept = lenskit::persist(model, {.file = "als.model"});                         // a file of your own
///     auto as_it_is = lenskit::persist(graph, {.method = lenskit::persist_method::inherit});
///
/// `model` can be anything that can be a task's argument: plain data, standard containers, aggregates, classes with a
/// Boost.Serialization `serialize()`, with `shared_array` anywhere inside. `inherit` takes any type at all, copies
/// nothing, and `model` must outlive the handle and the invokers. `automatic` is `file` if LK_TEMP_DIR is set or
/// `options` names a place, else `shm`, else, for a type that cannot be stored, `inherit`; when memory is short it is
/// `file` too.
///
/// A model of a derived class that is given by its base is never cut off: only `inherit` takes it, as an lvalue.
///
/// A segment or file is of mode 0600, has no name before it is complete, and cannot be changed through its mappings.
/// Serialising runs in `sharing_mode`. Throws no_space if there is no room, persist_error for everything else that
/// prevents it, std::invalid_argument for options that contradict one another. Blocks while it copies, at the speed of
/// memory. Safe in any thread and in forked children.
///
/// LensKit: lenskit.sharing.persist; `file` is its "binpickle", and `inherit` has no like there.
template <class M>
[[nodiscard]] persisted_model<M> persist(const M& model, const persist_options& options = {}) {
  std::shared_ptr<const M> not_owned(std::shared_ptr<const void>(), std::addressof(model));
  return detail::persist_as<M>(std::move(not_owned), options, detail::naming::named);
}

/// The same for a temporary: `inherit` moves it into the handle.
template <class M>
requires(!std::is_reference_v<M> && !std::is_const_v<M> && std::is_move_constructible_v<M>)
    [[nodiscard]] persisted_model<M> persist(M&& model, const persist_options& options = {}) {
  detail::check_whole_model(model);  // moving it into the handle would cut it off as well
  if (detail::choose_method(options, detail::storable<M>) != persist_method::inherit)
    return persist(std::as_const(model), options);
  return detail::persist_as<M>(std::make_shared<const M>(std::forward<M>(model)), options, detail::naming::named);
}

// An array has no handle of its own.
template <class T, std::size_t Size>
detail::refused persist(const T (&)[Size], const persist_options& = {}) {
  static_assert(Size == 0,
                "lenskit: persist takes no array: give it a std::array, a std::string or a struct that holds it");
  return {};
}

}  // namespace lenskit
