// Which types can travel, and how: decided at compile time, type by type.
#pragma once

#include <lenskit/detail/wire/boost_type.hpp>
#include <lenskit/detail/wire/dangling.hpp>
#include <lenskit/detail/wire/fields.hpp>

#include <boost/serialization/is_bitwise_serializable.hpp>

#include <array>
#include <bitset>
#include <chrono>
#include <complex>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

namespace lenskit::detail {

// --- bitwise ------------------------------------------------------------------------------------------------------

template <class T>
consteval bool is_bitwise();

template <class List>
struct all_bitwise;
template <class... Ts>
struct all_bitwise<type_list<Ts...>> {
  static constexpr bool value = (true && ... && is_bitwise<std::remove_cv_t<Ts>>());
};

// Numbers, enumerators, and what the compiler has beside them: 128-bit integers, vector registers like __m128.
template <class T>
inline constexpr bool bitwise_leaf =
    std::is_object_v<T> && !std::is_array_v<T> && !std::is_class_v<T> && !std::is_union_v<T> && !refers<T>;
template <class T>
inline constexpr bool bitwise_leaf<std::complex<T>> = bitwise_leaf<T>;
template <std::size_t Bits>
inline constexpr bool bitwise_leaf<std::bitset<Bits>> = true;
template <class Rep, class Period>
inline constexpr bool bitwise_leaf<std::chrono::duration<Rep, Period>> = bitwise_leaf<Rep>;
template <class Clock, class Duration>
inline constexpr bool bitwise_leaf<std::chrono::time_point<Clock, Duration>> = bitwise_leaf<Duration>;

// std::pair and std::tuple assign in code of their own, for the sake of references, and so are not trivially copyable;
// of bitwise members they are nevertheless nothing but their bytes.
template <class T>
struct bitwise_tuple : std::false_type {};
template <class... Ts>
struct bitwise_tuple<std::tuple<Ts...>> : all_bitwise<type_list<Ts...>> {};
template <class First, class Second>
struct bitwise_tuple<std::pair<First, Second>> : all_bitwise<type_list<First, Second>> {};
template <class T, std::size_t Count>
struct bitwise_tuple<std::array<T, Count>> : all_bitwise<type_list<T>> {};

template <class T>
consteval bool is_bitwise() {
  if constexpr (bitwise_leaf<T>) {
    return true;
  } else if constexpr (std::is_array_v<T>) {
    return is_bitwise<std::remove_cv_t<std::remove_all_extents_t<T>>>();
  } else if constexpr (refers<T> || !(std::is_class_v<T> || std::is_union_v<T>)) {
    return false;
  } else if constexpr (bitwise_tuple<T>::value) {
    return std::is_trivially_copy_constructible_v<T> && std::is_trivially_destructible_v<T>;
  } else if constexpr (standard_type<T>) {
    return false;  // an optional has a state that not every byte is
  } else if constexpr (boost::serialization::is_bitwise_serializable<T>::value) {
    return std::is_trivially_copyable_v<T>;
  } else if constexpr (boost_type<T> || !std::is_trivially_copyable_v<T> || !std::is_move_constructible_v<T>) {
    return false;
  } else if constexpr (anatomy_of<T> != anatomy::none) {
    return all_bitwise<fields_of<T>>::value;
  } else {
    return true;  // closed, but copyable as bytes by the word of its author
  }
}

/// Whether a value of T is its bytes: fixed in size, copied with memcpy, without pointers or references inside.
template <class T>
inline constexpr bool wire_bitwise = is_bitwise<std::remove_cv_t<T>>();

// --- how a type travels -------------------------------------------------------------------------------------------

enum class route {
  none,       // not at all
  bitwise,    // as its bytes
  standard,   // as codec<T> says
  boost,      // as its serialize() says, through an archive
  aggregate,  // field by field
  array,      // a C array inside of an aggregate, element by element
};

template <class T>
consteval route find_route() {
  if constexpr (wire_bitwise<T>) {
    return route::bitwise;
  } else if constexpr (std::is_array_v<T>) {
    return route::array;
  } else if constexpr (refers<T>) {
    return route::none;
  } else if constexpr (standard_type<T>) {
    return route::standard;
  } else if constexpr (boost_type<T>) {
    return route::boost;
  } else if constexpr (anatomy_of<T> != anatomy::none) {
    return route::aggregate;
  } else {
    return route::none;
  }
}
template <class T>
inline constexpr route route_of = find_route<std::remove_cv_t<T>>();

// A type that is not listed where it lies inside itself (a tree) is judged by everything else in it.
template <class T, class... Seen>
consteval bool travels_inside();

template <class List, class... Seen>
struct all_travel;
template <class... Ts, class... Seen>
struct all_travel<type_list<Ts...>, Seen...> {
  static constexpr bool value = (true && ... && travels_inside<std::remove_cv_t<Ts>, Seen...>());
};

template <class T, class... Seen>
consteval bool travels_inside() {
  if constexpr ((std::is_same_v<T, Seen> || ...)) {
    return true;
  } else if constexpr (route_of<T> == route::none) {
    return false;
  } else if constexpr (route_of<T> == route::array) {
    return travels_inside<std::remove_cv_t<std::remove_all_extents_t<T>>, Seen...>();
  } else if constexpr (route_of<T> == route::standard) {
    return all_travel<typename codec<T>::parts, Seen...>::value;
  } else if constexpr (route_of<T> == route::aggregate) {
    return all_travel<fields_of<T>, T, Seen...>::value;
  } else {
    return true;
  }
}

/// What can be an argument or a result: it goes through the wire by value.
template <class T>
concept wire_value = std::is_object_v<T> && !std::is_array_v<T> && std::is_move_constructible_v<T> &&
                     travels_inside<std::remove_cv_t<T>>();

template <class T, class... Seen>
consteval bool archived_inside();

template <class List, class... Seen>
struct any_archived;
template <class... Ts, class... Seen>
struct any_archived<type_list<Ts...>, Seen...> {
  static constexpr bool value = (false || ... || archived_inside<std::remove_cv_t<Ts>, Seen...>());
};

template <class T, class... Seen>
consteval bool archived_inside() {
  if constexpr ((std::is_same_v<T, Seen> || ...)) {
    return false;
  } else if constexpr (route_of<T> == route::boost) {
    return true;
  } else if constexpr (route_of<T> == route::array) {
    return archived_inside<std::remove_cv_t<std::remove_all_extents_t<T>>, Seen...>();
  } else if constexpr (route_of<T> == route::standard) {
    if constexpr (requires { codec<T>::through_archive; }) {
      return true;
    } else {
      return any_archived<typename codec<T>::parts, Seen...>::value;
    }
  } else if constexpr (route_of<T> == route::aggregate) {
    return any_archived<fields_of<T>, T, Seen...>::value;
  } else {
    return false;
  }
}

/// Whether a message with a T needs an archive, with its tables of classes and objects.
template <class T>
inline constexpr bool wire_archived = archived_inside<std::remove_cv_t<T>>();

}  // namespace lenskit::detail
