// Which types mean nothing in another process.
#pragma once

#include <lenskit/detail/wire/boost_type.hpp>
#include <lenskit/detail/wire/fields.hpp>
#include <lenskit/detail/wire/view_shape.hpp>

#include <coroutine>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>

namespace lenskit::detail {

/// How a standard library type is encoded. A specialisation names the types inside it as `parts` and has `put(sink,
/// value)` and `get(source)`; `through_archive` says that it needs the tables of an archive.
template <class T>
struct codec;

template <class T>
concept standard_type = requires {
  typename codec<T>::parts;
};

template <class T>
inline constexpr bool refers = std::is_reference_v<T> || std::is_pointer_v<T> || std::is_member_pointer_v<T> ||
                               std::is_null_pointer_v<T> || std::is_function_v<T> ||
                               // iterators and views look trivially copyable
                               (std::is_class_v<T>&& std::input_or_output_iterator<T>) ||
                               (std::ranges::view<T> && std::ranges::borrowed_range<T>);
template <class T>
inline constexpr bool refers<std::reference_wrapper<T>> = true;
template <class T>
inline constexpr bool refers<std::initializer_list<T>> = true;
template <class T, std::size_t Extent>
inline constexpr bool refers<std::span<T, Extent>> = true;
template <class Char, class Traits>
inline constexpr bool refers<std::basic_string_view<Char, Traits>> = true;
template <class Promise>
inline constexpr bool refers<std::coroutine_handle<Promise>> = true;

template <class T, class... Seen>
consteval bool dangles_inside();

template <class List, class... Seen>
struct any_dangles;
template <class... Ts, class... Seen>
struct any_dangles<type_list<Ts...>, Seen...> {
  static constexpr bool value = (false || ... || dangles_inside<std::remove_cv_t<Ts>, Seen...>());
};

// `Seen` holds the aggregates around T, so that a tree of aggregates comes to an end.
template <class T, class... Seen>
consteval bool dangles_inside() {
  if constexpr (refers<T>) {
    return true;
  } else if constexpr (std::is_array_v<T>) {
    return dangles_inside<std::remove_cv_t<std::remove_all_extents_t<T>>, Seen...>();
  } else if constexpr ((std::is_same_v<T, Seen> || ...)) {
    return false;
  } else if constexpr (standard_type<T>) {
    return any_dangles<typename codec<T>::parts, Seen...>::value;
  } else if constexpr (boost_type<T>) {
    return false;  // its author says how it travels
  } else if constexpr (anatomy_of<T> != anatomy::none) {
    return any_dangles<fields_of<T>, T, Seen...>::value;
  } else if constexpr (!std::is_class_v<T> || shaped_like_view<T>) {
    return shaped_like_view<T>;
  } else if constexpr (std::ranges::input_range<T&>) {
    return dangles_inside<std::ranges::range_value_t<T&>, T,
                          Seen...>();  // a closed owner of views, such as single_view
  } else {
    return false;
  }
}

/// Whether T is or contains a pointer, a reference or a view, of whatever library, so that it means nothing in another
/// process. What owns its target (`unique_ptr`, `shared_ptr`) does not dangle.
template <class T>
consteval bool dangles() {
  return dangles_inside<std::remove_cv_t<T>>();
}

}  // namespace lenskit::detail
