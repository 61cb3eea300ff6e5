// The insides of persist(): storing a model, handing it to a pool, and sending its handle from process to process.
#pragma once

#include <lenskit/detail/share/model_codec.hpp>
#include <lenskit/detail/share/model_state.hpp>
#include <lenskit/detail/wire/codec.hpp>

#include <cstdint>
#include <memory>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace lenskit {
template <class M>
class persisted_model;
}

namespace lenskit::detail {

/// Throws persist_error if `model` is of a class derived from M: stored as its base it would be cut off.
template <class M>
void check_whole_model(const M& model) {
  if constexpr (std::is_polymorphic_v<M>) {
    if (typeid(model) != typeid(M)) fail_cut_off(typeid(model), typeid(M));
  }
}

/// Stores `*model`; the pointer itself is kept if the method comes to `inherit`, else dropped.
template <class M>
persisted_model<M> persist_as(std::shared_ptr<const M> model, const persist_options& options, naming names) {
  const auto method = choose_method(options, storable<M>);
  if constexpr (storable<M>) {
    if (method != persist_method::inherit) {
      check_whole_model(*model);
      model_parts parts;
      encode_model(parts, *model);
      auto stored = store_model(parts, model_type_of<M>(), options, names, method);
      return persisted_model<M>(std::make_unique<model_state<M>>(std::move(stored)));
    }
  }
  return persisted_model<M>(std::make_unique<model_state<M>>(std::move(model)));
}

/// For a pool, which asks for no path: nothing it stores can be left behind.
template <class M>
persisted_model<M> persist_for_pool(std::shared_ptr<const M> model, persist_method method) {
  return persist_as<M>(std::move(model), {.method = method}, naming::nameless);
}

/// The model of a handle, loaded if it was not, for as long as the pointer is kept; the handle may be closed before.
/// An inherited model is not kept alive unless the handle was given a temporary.
template <class M>
std::shared_ptr<const M> share_model(persisted_model<M>& model) {
  return model.open_state().share();
}

/// How a handle travels: by its method; behind it what is stored as a descriptor, what is inherited by value.
template <class M>
struct codec<persisted_model<M>> {
  using parts = type_list<>;
  static constexpr bool through_archive = true;

  static void put(oarchive& archive, const persisted_model<M>& handle) {
    auto& state = handle.open_state();
    if (state.method() != persist_method::inherit) return put_stored(archive.out(), state);
    if constexpr (storable<M>) {
      archive.out().put(persist_method::inherit);
      put_value(archive, *state.load());
    } else {
      fail_not_storable();
    }
  }

  static persisted_model<M> get(iarchive& archive) {
    const auto how = archive.in().template get<persist_method>("the handle of a model");
    if (const auto* const row = find_method(how); row != nullptr && row->stored_as != nullptr)
      return get_stored(archive.in(), how);
    if constexpr (storable<M>) {
      if (how == persist_method::inherit)
        return persisted_model<M>(std::make_unique<model_state<M>>(get_shared<M>(archive)));
    }
    fail_decoding("the handle of a model is of no known form");
  }

 private:
  static void put_stored(writer& out, model_state<M>& state) {
    // Asked first: once it is handed over there is no way back.
    if (!out.carries_descriptors()) fail_no_descriptors();
    auto sent = state.hand_over();
    out.put(sent.method);
    out.put(static_cast<unsigned char>(sent.owned));
    out.put(static_cast<unsigned char>(sent.kept));
    put_value(out, sent.path);
    out.attach(std::move(sent.segment));
  }

  static persisted_model<M> get_stored(reader& in, persist_method how) {
    stored_model::sent sent;
    sent.method = how;
    sent.owned = get_value<bool>(in);
    sent.kept = get_value<bool>(in);
    sent.path = get_value<std::filesystem::path>(in);
    sent.segment = in.take_attachment();
    return persisted_model<M>(std::make_unique<model_state<M>>(stored_model::adopt(std::move(sent))));
  }
};

}  // namespace lenskit::detail
