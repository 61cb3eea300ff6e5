// What a persisted_model holds.
#pragma once

#include <lenskit/detail/share/model_codec.hpp>
#include <lenskit/detail/share/stored_model.hpp>
#include <lenskit/error.hpp>
#include <lenskit/persist_method.hpp>

#include <sys/types.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <typeinfo>
#include <utility>

namespace lenskit::detail {

enum class naming {
  named,     ///< a file has a name, for `path()`
  nameless,  ///< nobody will ask for it: then nothing can be left behind, whatever dies (failure S1)
};

[[noreturn]] void fail_closed();
[[noreturn]] void fail_not_storable();
[[noreturn]] void fail_no_descriptors();
/// A model of class `actual` was given by its base `stated`.
[[noreturn]] void fail_cut_off(const std::type_info& actual, const std::type_info& stated);
pid_t this_process() noexcept;

/// The method that `options` come to. Throws std::invalid_argument or persist_error.
[[nodiscard]] persist_method choose_method(const persist_options& options, bool can_be_stored);
/// Stores `parts` in that way, or as a file if memory is short and the options leave the choice.
[[nodiscard]] stored_model store_model(model_parts& parts, const model_type& type, const persist_options& options,
                                       naming names, persist_method method);

/// A stored model, an object, or both: the object is made from what is stored when it is first asked for.
template <class M>
class model_state {
 public:
  /// Inherited, or sent by value: there is nothing but the object.
  explicit model_state(std::shared_ptr<const M> model) noexcept
      : method_(persist_method::inherit), owner_(this_process()), model_(std::move(model)), loaded_(model_.get()) {}
  explicit model_state(stored_model stored) noexcept : method_(stored.method()), stored_(std::move(stored)) {
    if (stored_.is_owner()) owner_ = this_process();
  }

  [[nodiscard]] persist_method method() const noexcept { return method_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return stored_.path(); }
  [[nodiscard]] bool is_owner() const noexcept { return owner_ == this_process(); }
  void mark_transfer() {
    if (!is_owner()) throw persist_error("cannot transfer a model: this process does not own it");
    transfer_ = true;
  }

  const M* load() {
    // Without a lock once it is loaded: a process that was forked while another thread held the lock may come by.
    if (const auto* ready = loaded_.load(std::memory_order_acquire)) return ready;
    const std::scoped_lock lock(mutex_);
    if constexpr (storable<M>) {
      if (!model_) model_ = read();
    }
    loaded_.store(model_.get(), std::memory_order_release);
    return model_.get();
  }
  [[nodiscard]] std::shared_ptr<const M> share() {
    load();
    return model_;
  }

  /// What to send, and ends this process's ownership if it is to be handed over.
  [[nodiscard]] stored_model::sent hand_over() {
    const std::scoped_lock lock(mutex_);
    if constexpr (storable<M>) {
      if (!stored_) store_again();
    }
    auto sent = stored_.send();
    sent.owned = transfer_ && is_owner();
    if (sent.owned) {
      stored_.disown();
      owner_ = 0;
    }
    return sent;
  }

 private:
  std::shared_ptr<const M> read() {
    const auto parts = stored_.verify(model_type_of<M>());
    model_source source(stored_.mapped(), parts.arrays);
    auto model = decode_model<M>(parts.stream, source);
    // Everything was copied out of the mapping, which would be one more copy of the model in memory.
    if (!source.used()) stored_.unmap();
    return model;
  }
  void store_again() {
    model_parts parts;
    encode_model(parts, *model_);
    stored_ = stored_model::make(method_, parts, model_type_of<M>());
  }

  persist_method method_;
  stored_model stored_;
  pid_t owner_ = 0;
  bool transfer_ = false;
  std::mutex mutex_;  // for loading, and for sending what may have to be stored again
  std::shared_ptr<const M> model_;
  std::atomic<const M*> loaded_{nullptr};
};

}  // namespace lenskit::detail
