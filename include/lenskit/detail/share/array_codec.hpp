// How a shared_array goes over the wire (inline) and into a stored model (out of band).
#pragma once

#include <lenskit/detail/share/array_hook.hpp>
#include <lenskit/detail/wire/codec.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

namespace lenskit::detail {

/// What the elements of arrays in a mapping are aligned to at least, in bytes: a cache line, and the widest vector
/// register.
inline constexpr std::size_t array_alignment = 64;

template <class T>
struct codec<shared_array<T>> {
  using parts = type_list<>;

  template <class Sink>
  static void put(Sink& sink, const shared_array<T>& array) {
    auto& out = bytes_of(sink);
    out.put(static_cast<std::uint64_t>(array.size()));
    if (array.empty()) return;
    const auto bytes = array.size() * sizeof(T);
    if constexpr (std::is_same_v<Sink, oarchive>) {
      if (auto* store = sink.store()) {
        out.put(store->put(array.data(), bytes, std::max(array_alignment, alignof(T))));
        store->keep(array_access::keeper(array));
        return;
      }
    }
    out.put(array.data(), bytes);
  }

  template <class Source>
  static shared_array<T> get(Source& source) {
    auto& in = bytes_of(source);
    if constexpr (std::is_same_v<Source, iarchive>) {
      if (auto* store = source.source()) return point_into(*store, in);
    }
    const auto size = in.get_count(sizeof(T), "an array");
    if (size == 0) return {};
    auto elements = allocate_elements<T>(size);
    in.get_into(elements.get(), size * sizeof(T), "an array");
    return array_access::make<T>(elements, elements.get(), size);
  }

 private:
  static shared_array<T> point_into(array_source& store, reader& in) {
    const auto size = in.get<std::uint64_t>("the size of an array");
    if (size == 0) return {};
    if (size > SIZE_MAX / sizeof(T)) fail_decoding("an array is longer than any memory");
    const auto token = in.get<std::uint64_t>("the place of an array");
    const auto bytes = store.get(token, size * sizeof(T));
    if constexpr (alignof(T) > array_alignment) {
      // A mapping begins on a page and nothing coarser, so what asks for more is copied to where it has it.
      if (std::bit_cast<std::uintptr_t>(bytes.data()) % alignof(T) != 0) {
        auto elements = allocate_elements<T>(size);
        std::memcpy(static_cast<void*>(elements.get()), bytes.data(), bytes.size());
        return array_access::make<T>(elements, elements.get(), size);
      }
    }
    return array_access::make<T>(store.keeper(), reinterpret_cast<const T*>(bytes.data()), size);
  }
};

}  // namespace lenskit::detail
