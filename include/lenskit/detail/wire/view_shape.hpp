// Views and pointers of other libraries, known by their shape: boost::string_view, gsl::span, fmt::string_view,
// observer_ptr, lazy ranges.
//
// They are closed classes that copy as bytes, as small owners do, and C++ cannot ask what a closed class holds. But
// what owns its elements has them inside: it gives out `T&` when it is mutable and `const T&` when it is not. What
// refers to them gives the same either way, and is as large and as aligned as the pointer in it. An owner that looks so
// for all that says with a serialize(), or with BOOST_IS_BITWISE_SERIALIZABLE, that it is a value.
#pragma once

#include <boost/serialization/is_bitwise_serializable.hpp>

#include <concepts>
#include <cstddef>
#include <iterator>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

namespace lenskit::detail {

// That what it refers to can be handed in says that it does not own it.
template <class T, class Element>
inline constexpr bool made_from_elsewhere =
    std::is_constructible_v<T, Element*> || std::is_constructible_v<T, Element*, std::size_t> ||
    std::is_constructible_v<T, Element*, Element*> ||
    std::is_convertible_v<const std::vector<std::remove_const_t<Element>>&, T>;

// Whether const makes no difference to what is given out. Read-only access alone has small owners as well: then it
// takes more to be taken for a view, and no more room than a pointer and a length take.
template <class T, class Shown, class ShownByConst>
consteval bool shows_elsewhere() {
  if constexpr (!std::is_same_v<Shown, ShownByConst>) {
    return false;
  } else if constexpr (!std::is_lvalue_reference_v<Shown>) {
    return true;  // made on the way, from what is elsewhere
  } else {
    using element = std::remove_reference_t<Shown>;
    return !std::is_const_v<element> ||
           (sizeof(T) <= 2 * sizeof(void*) && (alignof(T) > alignof(element) || made_from_elsewhere<T, element>));
  }
}

template <class T>
consteval bool is_shaped_like_view() {
  if constexpr (!std::is_class_v<T> || !std::is_trivially_copyable_v<T>) {
    return false;  // does not travel as bytes
  } else if constexpr (boost::serialization::is_bitwise_serializable<T>::value) {
    return false;
  } else if constexpr (sizeof(T) < sizeof(void*) || alignof(T) < alignof(void*)) {
    return false;
  } else if constexpr (std::ranges::input_range<T&> && std::ranges::input_range<const T&>) {
    return shows_elsewhere<T, std::ranges::range_reference_t<T&>, std::ranges::range_reference_t<const T&>>();
  } else if constexpr (std::ranges::input_range<T&>) {
    return std::ranges::view<T>;  // one that keeps its place
  } else if constexpr (requires(T & value, const T& constant) {
                         *value;
                         *constant;
                         value.operator->();
                       }) {
    return shows_elsewhere<T, decltype(*std::declval<T&>()), decltype(*std::declval<const T&>())>();
  } else if constexpr (requires(T & value, const T& constant) {
                         *value.data();
                         *constant.data();
                         constant.size();
                       }) {
    return shows_elsewhere<T, decltype(*std::declval<T&>().data()), decltype(*std::declval<const T&>().data())>();
  } else {
    return requires(const T& constant) {
      { *constant.data_handle() } -> std::same_as<std::iter_reference_t<decltype(constant.data_handle())>>;
    };
  }
}

/// Whether a closed class that copies as bytes looks like a view or a pointer.
template <class T>
inline constexpr bool shaped_like_view = is_shaped_like_view<T>();

}  // namespace lenskit::detail
