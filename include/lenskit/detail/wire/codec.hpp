// Values to bytes and back.
//
// `encode` and `decode` are all that the floors above use. A type goes the fastest way that is right for it (`route`):
// as its bytes, as its standard container, field by field, or through an archive if it has Boost.Serialization
// support. An archive is made only for messages that need one. The bytes are for the same program on the same machine:
// they carry no types and no byte order.
#pragma once

#include <lenskit/detail/wire/archive.hpp>
#include <lenskit/detail/wire/reader.hpp>
#include <lenskit/detail/wire/refusal.hpp>
#include <lenskit/detail/wire/traits.hpp>
#include <lenskit/detail/wire/writer.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace lenskit::detail {

inline writer& bytes_of(writer& sink) noexcept { return sink; }
inline writer& bytes_of(oarchive& sink) noexcept { return sink.out(); }
inline reader& bytes_of(reader& source) noexcept { return source; }
inline reader& bytes_of(iarchive& source) noexcept { return source.in(); }

/// The fewest bytes that any T takes. Never 0: so a number of elements is at most the number of bytes left.
template <class T>
inline constexpr std::size_t least_bytes = wire_bitwise<T> ? sizeof(T) : 1;

// Stands before what might take no bytes at all otherwise.
inline constexpr std::byte object_mark{0x6f};

[[noreturn]] void fail_decoding(const char* why);
[[noreturn]] void fail_encoding(const char* why);
/// Throws serialization_error if an object of type `actual` is to be sent as its base `stated`: it would be cut off.
void check_whole(const std::type_info& actual, const std::type_info& stated);
/// In a catch block: whatever a user's serialize() or Boost threw becomes a `serialization_error`, memory that has run
/// out and the library's own errors stay what they are.
[[noreturn]] void rethrow_encoding(const std::type_info& type);
[[noreturn]] void rethrow_decoding(const std::type_info& type);
/// In a catch block of std::bad_alloc: one that a value of so many bytes is to blame for says so, any other goes on.
[[noreturn]] void rethrow_too_large(std::size_t bytes);

inline void get_mark(reader& in) {
  if (in.get<std::byte>("an object") != object_mark) [[unlikely]]
    fail_decoding("an object is expected, something else was found");
}

template <class T, class Sink>
void put_value(Sink& sink, const T& value) {
  if constexpr (route_of<T> == route::bitwise) {
    bytes_of(sink).put(std::addressof(value), sizeof(T));
  } else if constexpr (route_of<T> == route::array) {
    for (const auto& element : value) put_value(sink, element);
  } else if constexpr (route_of<T> == route::standard) {
    codec<T>::put(sink, value);
  } else if constexpr (route_of<T> == route::boost) {
    if constexpr (std::is_polymorphic_v<T>) check_whole(typeid(value), typeid(T));
    bytes_of(sink).put(object_mark);
    sink << value;
  } else {
    static_assert(route_of<T> == route::aggregate);
    if constexpr (fields_of<T>::size == 0) bytes_of(sink).put(object_mark);
    visit_fields(value, [&](const auto&... fields) { (put_value(sink, fields), ...); });
  }
}

template <class T, class Source>
T get_value(Source& source);

// The aggregate from its fields, each constructed where it will stay.
template <class T, class Source, class... Fields>
T gather(Source& source, type_list<Fields...>) {
  return T{get_value<std::remove_cv_t<Fields>>(source)...};
}

template <class List>
struct any_array;
template <class... Ts>
struct any_array<type_list<Ts...>> {
  static constexpr bool value = (false || ... || std::is_array_v<Ts>);
};

// Whether T must be filled where it lies: an archive remembers addresses, and an array cannot be returned.
template <class T>
consteval bool is_filled_in_place() {
  if constexpr (!std::is_default_constructible_v<T>) {
    return false;
  } else if constexpr (route_of<T> == route::boost) {
    return true;
  } else if constexpr (route_of<T> == route::aggregate) {
    return any_array<fields_of<T>>::value;
  } else if constexpr (route_of<T> == route::standard) {
    return wire_archived<T> && requires { codec<T>::fills_in_place; };
  } else {
    return route_of<T> == route::array;
  }
}

/// Reads over an existing value. A const part of it too, like the key in an element of a map: nobody has seen it yet.
template <class T, class Source>
void get_into(Source& source, T& value) {
  if constexpr (std::is_const_v<T>) {
    get_into(source, const_cast<std::remove_const_t<T>&>(value));
  } else if constexpr (route_of<T> == route::bitwise) {
    if constexpr (std::is_same_v<T, bool>) {
      value = get_value<bool>(source);
    } else {
      bytes_of(source).get_into(static_cast<void*>(std::addressof(value)), sizeof(T), "a value");
    }
  } else if constexpr (route_of<T> == route::array) {
    for (auto& element : value) get_into(source, element);
  } else if constexpr (!is_filled_in_place<T>() && std::is_move_assignable_v<T>) {
    value = get_value<T>(source);
  } else if constexpr (!is_filled_in_place<T>()) {  // it has const parts
    auto fresh = get_value<T>(source);
    std::destroy_at(std::addressof(value));
    std::construct_at(std::addressof(value), std::move(fresh));
  } else if constexpr (route_of<T> == route::boost) {
    get_mark(bytes_of(source));
    source >> value;
  } else if constexpr (route_of<T> == route::standard) {
    codec<T>::fill(source, value);
  } else {
    visit_fields(value, [&](auto&... fields) { (get_into(source, fields), ...); });
  }
}

/// Reads a new value. T need not have a default constructor unless it goes through an archive.
template <class T, class Source>
T get_value(Source& source) {
  static_assert(!std::is_const_v<T>);
  static_assert(route_of<T> != route::boost || std::is_default_constructible_v<T>,
                "lenskit: a type with a Boost.Serialization serialize() needs a default constructor to be received by "
                "value; or send it in a std::unique_ptr");
  if constexpr (std::is_same_v<T, bool>) {
    const auto byte = bytes_of(source).template get<unsigned char>("a bool");
    if (byte > 1) [[unlikely]]
      fail_decoding("a bool is expected, which is 0 or 1");
    return byte != 0;
  } else if constexpr (route_of<T> == route::bitwise) {
    alignas(T) std::array<std::byte, sizeof(T)> raw;
    bytes_of(source).get_into(raw.data(), sizeof(T), "a value");
    if constexpr (std::is_trivially_copyable_v<T>) {
      return std::bit_cast<T>(raw);
    } else {
      return *std::launder(reinterpret_cast<const T*>(raw.data()));  // a pair or a tuple
    }
  } else if constexpr (is_filled_in_place<T>()) {
    T value{};
    get_into(source, value);
    return value;
  } else if constexpr (route_of<T> == route::standard) {
    return codec<T>::get(source);
  } else {
    static_assert(route_of<T> == route::aggregate);
    if constexpr (fields_of<T>::size == 0) get_mark(bytes_of(source));
    return gather<T>(source, fields_of<T>());
  }
}

/// Appends `value` to `out`. May leave half of it there when it throws `serialization_error`.
template <class T>
void encode(writer& out, const T& value) {
  if constexpr (traveller<T>::travels) {
    if constexpr (wire_archived<T>) {
      try {
        oarchive archive(out);
        put_value(archive, value);
      } catch (...) {
        rethrow_encoding(typeid(T));
      }
    } else {
      put_value(out, value);
    }
  }
}

/// The value that comes next in `in`. Throws `serialization_error` if it is not one, whatever the bytes are.
template <class T>
[[nodiscard]] T decode(reader& in) {
  if constexpr (!traveller<T>::travels) {
    throw;  // the compiler has said why
  } else if constexpr (wire_archived<T>) {
    try {
      iarchive archive(in);
      return get_value<T>(archive);
    } catch (...) {
      rethrow_decoding(typeid(T));
    }
  } else {
    return get_value<T>(in);
  }
}

}  // namespace lenskit::detail

#include <lenskit/detail/wire/codec_maps.hpp>
#include <lenskit/detail/wire/codec_pointers.hpp>
#include <lenskit/detail/wire/codec_sequences.hpp>
#include <lenskit/detail/wire/codec_sums.hpp>
