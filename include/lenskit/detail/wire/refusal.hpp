// Why a type cannot travel, in one true sentence.
#pragma once

#include <lenskit/detail/wire/traits.hpp>

#include <type_traits>

namespace lenskit::detail {

/// What a refused call returns: it can be used like anything, so that the compiler has no more to say than why.
struct refused {
  template <class Anything>
  operator Anything() const;  // NOLINT(google-explicit-constructor)
  [[nodiscard]] refused* begin() const;
  [[nodiscard]] refused* end() const;
  [[nodiscard]] refused collect() const;
};

template <class Allocator>
struct stateful_allocator;

// Stands for the array behind a std::unique_ptr<T[]>.
struct array_of_any_length {
  array_of_any_length(const array_of_any_length&) = delete;
};

enum class refusal {
  none,
  dangles,      ///< a pointer, reference or view
  order,        ///< the comparator or hasher of a set or map
  allocator,    ///< the allocator of a container
  unsized,      ///< an array behind a pointer
  polymorphic,  ///< a class with virtual functions, known by its base only
  aggregate,    ///< a union or a base inside, or too many fields
  immovable,    ///< cannot be returned
  closed,       ///< a class that nobody can look into
};

template <class T>
inline constexpr bool is_stateful_allocator = false;
template <class Allocator>
inline constexpr bool is_stateful_allocator<stateful_allocator<Allocator>> = true;

template <class T>
concept with_functions = requires {
  typename codec<T>::functions;
};

template <class T, class... Seen>
consteval refusal find_refusal();

/// Of the first of them that has one.
template <class List, class... Seen>
struct first_refusal;
template <class... Seen>
struct first_refusal<type_list<>, Seen...> {
  static constexpr refusal value = refusal::none;
};
template <class T, class... Ts, class... Seen>
struct first_refusal<type_list<T, Ts...>, Seen...> {
  static constexpr refusal value = [] {
    constexpr auto first = find_refusal<std::remove_cv_t<T>, Seen...>();
    if constexpr (first != refusal::none) {
      return first;
    } else {
      return first_refusal<type_list<Ts...>, Seen...>::value;
    }
  }();
};

// How a standard type is refused: by what is in it, of which a comparator or hasher is no element.
template <class T, class... Seen>
consteval refusal refusal_of_standard() {
  if constexpr (with_functions<T>) {
    if constexpr (first_refusal<typename codec<T>::functions, Seen...>::value != refusal::none) return refusal::order;
  }
  return first_refusal<typename codec<T>::parts, Seen...>::value;
}

template <class T>
consteval refusal refusal_of_closed() {
  if constexpr (is_stateful_allocator<T>) {
    return refusal::allocator;
  } else if constexpr (std::is_same_v<T, array_of_any_length>) {
    return refusal::unsized;
  } else if constexpr (std::is_void_v<T>) {
    return refusal::polymorphic;  // what codec<unique_ptr> names instead of a target that would be cut off
  } else if constexpr (std::is_polymorphic_v<T>) {
    return refusal::polymorphic;
  } else if constexpr (std::is_aggregate_v<T>) {
    return refusal::aggregate;
  } else if constexpr (!std::is_move_constructible_v<T>) {
    return refusal::immovable;
  } else {
    return refusal::closed;
  }
}

template <class T, class... Seen>
consteval refusal find_refusal() {
  if constexpr (std::is_void_v<T>) {
    return refusal::polymorphic;
  } else if constexpr ((std::is_same_v<T, Seen> || ...)) {
    return refusal::none;
  } else if constexpr (refers<T>) {
    return refusal::dangles;
  } else if constexpr (std::is_array_v<T>) {
    return find_refusal<std::remove_cv_t<std::remove_all_extents_t<T>>, Seen...>();
  } else if constexpr (standard_type<T>) {
    return refusal_of_standard<T, Seen...>();
  } else if constexpr (boost_type<T>) {
    return refusal::none;
  } else if constexpr (anatomy_of<T> != anatomy::none) {
    return first_refusal<fields_of<T>, T, Seen...>::value;
  } else if constexpr (shaped_like_view<T>) {
    return refusal::dangles;
  } else if constexpr (route_of<T> != route::none) {
    return refusal::none;
  } else {
    return refusal_of_closed<T>();
  }
}

template <class T>
inline constexpr refusal refusal_of = [] {
  constexpr auto found = find_refusal<std::remove_cv_t<T>>();
  if constexpr (found == refusal::none && !wire_value<T>) {
    return std::is_move_constructible_v<T> ? refusal::closed : refusal::immovable;
  } else {
    return found;
  }
}();

/// Whether T can travel; if not, the compiler says why, once for each type.
template <class T>
struct traveller {
  static constexpr refusal why = refusal_of<T>;
  static_assert(why != refusal::dangles,
                "lenskit: this type cannot travel between processes: it is or contains a pointer, reference, iterator "
                "or view, which would dangle there: send the value itself");
  static_assert(why != refusal::order,
                "lenskit: this type cannot travel between processes: a set or map in it has a comparator or hasher "
                "that would not arrive as it was: give it one without state, or whose state is a value");
  static_assert(why != refusal::allocator,
                "lenskit: this type cannot travel between processes: a container in it has an allocator with state, "
                "which would not arrive as it was: use one without state");
  static_assert(
      why != refusal::unsized,
      "lenskit: this type cannot travel between processes: it is or contains a pointer to an array, which does "
      "not say how long it is: use a std::vector");
  static_assert(why != refusal::polymorphic,
                "lenskit: this type cannot travel between processes: it is or contains a class with virtual functions, "
                "which would be cut off to its base: give the class a Boost.Serialization serialize() and export what "
                "derives from it");
  static_assert(why != refusal::aggregate,
                "lenskit: this type cannot travel between processes: it is or contains an aggregate that has a union "
                "or a base class in it or more than 100 fields: give that a Boost.Serialization serialize()");
  static_assert(why != refusal::immovable,
                "lenskit: this type cannot travel between processes: it is or contains a class that cannot be moved, "
                "such as a lock: give it a Boost.Serialization serialize() that leaves it out, and send it in a "
                "std::unique_ptr");
  static_assert(why != refusal::closed,
                "lenskit: this type cannot travel between processes: make it an aggregate, give it a "
                "Boost.Serialization serialize(), or use trivially copyable members");
  static constexpr bool travels = why == refusal::none;
};

}  // namespace lenskit::detail
