// Any model to parts and back.
#pragma once

#include <lenskit/detail/share/model_parts.hpp>
#include <lenskit/detail/share/stored_model.hpp>
#include <lenskit/detail/wire/codec.hpp>
#include <lenskit/error.hpp>
#include <lenskit/sharing_mode.hpp>

#include <memory>
#include <string>
#include <type_traits>
#include <typeinfo>

namespace lenskit::detail {

/// Whether a model can be stored, and so be shared by other means than being inherited. A type that Boost.Serialization
/// fills in need not be movable.
template <class M>
inline constexpr bool storable = [] {
  if constexpr (std::is_array_v<M> || dangles<M>()) {
    return false;
  } else if constexpr (route_of<M> == route::boost) {
    return std::is_default_constructible_v<M>;
  } else {
    return wire_value<M>;
  }
}();

/// Encodes `model`, which must stay as it is until the parts are written. Throws persist_error.
template <class M>
void encode_model(model_parts& parts, const M& model) {
  const sharing_mode sharing;
  try {
    try {
      oarchive archive(parts.stream(), &parts);
      put_value(archive, model);
    } catch (...) {
      rethrow_encoding(typeid(M));
    }
  } catch (const serialization_error& e) {
    throw persist_error(std::string("cannot persist model: ") + e.what());
  }
}

template <class M>
std::shared_ptr<const M> get_shared(iarchive& archive) {
  if constexpr (is_filled_in_place<M>()) {
    auto model = std::make_shared<M>();
    get_into(archive, *model);
    return model;
  } else {
    return std::make_shared<const M>(get_value<M>(archive));
  }
}

/// The model in verified bytes; its arrays point into the mapping and keep it. Throws persist_error.
template <class M>
std::shared_ptr<const M> decode_model(std::span<const std::byte> stream, array_source& source) {
  const sharing_mode sharing;
  try {
    try {
      reader in(stream);
      iarchive archive(in, &source);
      auto model = get_shared<M>(archive);
      if (in.left() != 0) fail_decoding("there is more than one model");
      return model;
    } catch (...) {
      rethrow_decoding(typeid(M));
    }
  } catch (const serialization_error& e) {
    throw persist_error(std::string("cannot load model: ") + e.what());
  }
}

}  // namespace lenskit::detail
