// Taking a plain aggregate apart: how many fields it has, of what types, and references to them.
//
// Boost.PFR does that too, but it takes the elements of a C array for fields, cannot tell a reference from what it
// refers to, and does not compile for a bit-field. All three must be known before deciding whether a type can travel,
// so aggregates are bound here, up to as many fields as Boost.PFR knows.
#pragma once

#include <boost/preprocessor/arithmetic/inc.hpp>
#include <boost/preprocessor/repetition/enum.hpp>
#include <boost/preprocessor/repetition/repeat.hpp>

#include <algorithm>
#include <array>
#include <climits>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

namespace lenskit::detail {

template <class... Ts>
struct type_list {
  static constexpr std::size_t size = sizeof...(Ts);
};

template <class... Lists>
struct join_lists;
template <>
struct join_lists<> {
  using type = type_list<>;
};
template <class... Ts>
struct join_lists<type_list<Ts...>> {
  using type = type_list<Ts...>;
};
template <class... As, class... Bs, class... Others>
struct join_lists<type_list<As...>, type_list<Bs...>, Others...> {
  using type = typename join_lists<type_list<As..., Bs...>, Others...>::type;
};
template <class... Lists>
using joined = typename join_lists<Lists...>::type;

// What stands in for an initialiser while counting: it turns into anything but the aggregate itself.
template <class Whole>
struct any_lvalue {
  template <class Field>
  requires(!std::is_same_v<std::remove_cv_t<Field>, Whole>) operator Field&() const noexcept;
};
template <class Whole>
struct any_rvalue {
  template <class Field>
  requires(!std::is_same_v<std::remove_cv_t<Field>, Whole>) operator Field&&() const noexcept;
};
template <class Whole>
using any_field = std::conditional_t<std::is_copy_constructible_v<Whole>, any_lvalue<Whole>, any_rvalue<Whole>>;

template <class Whole>
struct any_base {
  template <class Base>
  requires(std::is_base_of_v<Base, Whole> && !std::is_same_v<Base, Whole>) operator Base&() const noexcept;
};
struct any_union {
  template <class Union>
  requires std::is_union_v<Union>
  operator Union&() const noexcept;
};

inline constexpr std::size_t max_fields = 100;

template <std::size_t Count>
struct field_binder;

template <>
struct field_binder<0> {
  template <class T, class... Behind>
  static consteval bool takes_braces() {
    return requires { T{Behind{}...}; };
  }
  template <class T>
  static type_list<> types(T&);
  template <class T, class Visit>
  static constexpr decltype(auto) visit(T&, Visit&& with) {
    return with();
  }
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"  // those of a vector register like __m128 do no harm in a list
#define LENSKIT_DETAIL_BRACES(Z, I, UNUSED) \
  {}
#define LENSKIT_DETAIL_FIELD(Z, I, UNUSED) field##I
#define LENSKIT_DETAIL_FIELD_TYPE(Z, I, UNUSED) decltype(field##I)
#define LENSKIT_DETAIL_BINDER(Z, LAST, UNUSED)                                                          \
  template <>                                                                                           \
  struct field_binder<BOOST_PP_INC(LAST)> {                                                             \
    template <class T, class... Behind>                                                                 \
    static consteval bool takes_braces() {                                                              \
      return requires { T{BOOST_PP_ENUM(BOOST_PP_INC(LAST), LENSKIT_DETAIL_BRACES, ~), Behind{}...}; }; \
    }                                                                                                   \
    template <class T>                                                                                  \
    static auto types(T& whole) {                                                                       \
      auto& [BOOST_PP_ENUM(BOOST_PP_INC(LAST), LENSKIT_DETAIL_FIELD, ~)] = whole;                       \
      return type_list<BOOST_PP_ENUM(BOOST_PP_INC(LAST), LENSKIT_DETAIL_FIELD_TYPE, ~)>();              \
    }                                                                                                   \
    template <class T, class Visit>                                                                     \
    static constexpr decltype(auto) visit(T& whole, Visit&& with) {                                     \
      auto& [BOOST_PP_ENUM(BOOST_PP_INC(LAST), LENSKIT_DETAIL_FIELD, ~)] = whole;                       \
      return with(BOOST_PP_ENUM(BOOST_PP_INC(LAST), LENSKIT_DETAIL_FIELD, ~));                          \
    }                                                                                                   \
  };
BOOST_PP_REPEAT(100, LENSKIT_DETAIL_BINDER, ~)
#undef LENSKIT_DETAIL_BINDER
#undef LENSKIT_DETAIL_FIELD_TYPE
#undef LENSKIT_DETAIL_FIELD
#undef LENSKIT_DETAIL_BRACES
#pragma GCC diagnostic pop

// --- where every field has a default ------------------------------------------------------------------------------
//
// Then `{}` stands for any field, for an array of whatever length and for a base too, and fewer of them will do as
// well.

// `Least` are accepted; `Most` and more are not.
template <class T, std::size_t Least, std::size_t Most>
consteval std::size_t search_braces() {
  if constexpr (Least + 1 >= Most) {
    return Least;
  } else if constexpr (field_binder<(Least + Most) / 2>::template takes_braces<T>()) {
    return search_braces<T, (Least + Most) / 2, Most>();
  } else {
    return search_braces<T, Least, (Least + Most) / 2>();
  }
}
template <class T>
inline constexpr std::size_t braces_of =
    search_braces<T, 0, std::min(max_fields, sizeof(T) * CHAR_BIT) + 1>();  // a field may be a bit

// Whether that is how many fields there are. Not if there are more than can be bound, or one that takes no `{}` because
// its default is explicit.
template <class T>
consteval bool braces_tell() {
  if constexpr (!field_binder<0>::takes_braces<T>()) {
    return false;
  } else {
    return braces_of<T> > 0 && !field_binder<braces_of<T>>::template takes_braces<T, any_field<T>>();
  }
}

// A union is a field like any other to `{}`, but has no name that it could be bound by, or no telling which of its
// members counts.
template <class T>
consteval bool braces_find_union() {
  return []<std::size_t... I>(std::index_sequence<I...>) {
    return (false || ... ||
            (!field_binder<I>::template takes_braces<T, any_field<T>>() ||
             field_binder<I>::template takes_braces<T, any_union>()));
  }
  (std::make_index_sequence<braces_of<T>>{});
}

// --- where one has none -------------------------------------------------------------------------------------------

template <class Any, std::size_t>
using repeated = Any;

template <class T, std::size_t Count>
consteval bool takes_initialisers() {
  return []<std::size_t... I>(std::index_sequence<I...>) {
    return requires { T{repeated<any_field<T>, I>{}...}; };
  }
  (std::make_index_sequence<Count>{});
}

// Whether `Before` fields, one `{}` and `After` more are accepted: `{}` swallows a whole array.
template <class T, std::size_t Before, std::size_t After>
consteval bool takes_braces_at() {
  return []<std::size_t... I, std::size_t... J>(std::index_sequence<I...>, std::index_sequence<J...>) {
    return requires { T{repeated<any_field<T>, I>{}..., {}, repeated<any_field<T>, J>{}...}; };
  }
  (std::make_index_sequence<Before>{}, std::make_index_sequence<After>{});
}

template <class T, std::size_t Before>
consteval bool takes_union_at() {
  return []<std::size_t... I>(std::index_sequence<I...>) {
    return requires { T{repeated<any_field<T>, I>{}..., any_union{}}; };
  }
  (std::make_index_sequence<Before>{});
}

inline constexpr std::size_t max_initialisers = 64;

template <class T, std::size_t From>
consteval std::size_t count_initialisers() {
  if constexpr (From == 0) {
    return 0;
  } else if constexpr (takes_initialisers<T, From>()) {
    return From;
  } else {
    return count_initialisers<T, From - 1>();
  }
}

template <class T>
inline constexpr std::size_t initialisers_of =
    count_initialisers<T, std::min(max_initialisers, sizeof(T) * CHAR_BIT)>();  // a field may be a bit

// How many initialisers the field takes that starts with initialiser `At`: more than one for an array.
template <class T, std::size_t At, std::size_t Extent = 1>
consteval std::size_t extent_at() {
  if constexpr (At + Extent >= initialisers_of<T> || takes_braces_at<T, At, initialisers_of<T> - At - Extent>()) {
    return Extent;
  } else if constexpr (!takes_braces_at<T, At, 0>()) {
    return 1;  // no `{}` for this one, hence no array of anything that has a default
  } else {
    return extent_at<T, At, Extent + 1>();
  }
}

template <class T, std::size_t At = 0>
consteval std::size_t count_fields() {
  if constexpr (At >= initialisers_of<T>) {
    return 0;
  } else {
    return 1 + count_fields<T, At + extent_at<T, At>()>();
  }
}

template <class T>
consteval bool has_union() {
  return []<std::size_t... I>(std::index_sequence<I...>) { return (false || ... || takes_union_at<T, I>()); }
  (std::make_index_sequence<initialisers_of<T>>{});
}

enum class anatomy { none, bound };

/// Whether the fields of a type can be had. Aggregates with bases or unions are closed, and those of very many fields.
template <class T>
consteval anatomy find_anatomy() {
  if constexpr (!std::is_aggregate_v<T> || !std::is_class_v<T>) {
    return anatomy::none;
  } else if constexpr (std::is_empty_v<T>) {
    return anatomy::bound;
  } else if constexpr (requires { T{any_base<T>{}}; }) {
    return anatomy::none;
  } else if constexpr (braces_tell<T>()) {
    return braces_find_union<T>() ? anatomy::none : anatomy::bound;
  } else if constexpr (initialisers_of<T> == 0 || has_union<T>() || takes_braces_at<T, initialisers_of<T>, 0>()) {
    return anatomy::none;  // g++ lets only braces initialise an anonymous union
  } else {
    return initialisers_of<T> < max_initialisers && count_fields<T>() <= max_fields ? anatomy::bound : anatomy::none;
  }
}
template <class T>
inline constexpr anatomy anatomy_of = find_anatomy<T>();

template <class T>
consteval std::size_t number_of_fields() {
  if constexpr (std::is_empty_v<T>) {
    return 0;
  } else if constexpr (braces_tell<T>()) {
    return braces_of<T>;
  } else {
    return count_fields<T>();
  }
}
template <class T>
using binder_of = field_binder<number_of_fields<T>()>;

/// The declared types of the fields, in order: references and arrays show as such.
template <class T>
using fields_of = decltype(binder_of<T>::types(std::declval<T&>()));

/// Calls `with` with all fields of `whole`.
template <class T, class Visit>
constexpr decltype(auto) visit_fields(T& whole, Visit&& with) {
  return binder_of<std::remove_const_t<T>>::visit(whole, std::forward<Visit>(with));
}

}  // namespace lenskit::detail
