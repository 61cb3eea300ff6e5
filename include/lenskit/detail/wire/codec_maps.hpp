// Sets and maps of the standard library.
#pragma once

#include <lenskit/detail/wire/allocator_part.hpp>
#include <lenskit/detail/wire/codec.hpp>
#include <lenskit/detail/wire/codec_sequences.hpp>

#include <boost/unordered/unordered_map_fwd.hpp>
#include <boost/unordered/unordered_set_fwd.hpp>

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace lenskit::detail {

// What a set or map orders or finds its elements by. Most have no state, and are made anew on arrival; one that has
// some is a part of the value and travels with it.
template <class Function>
inline constexpr bool stateless = std::is_empty_v<Function>&& std::is_default_constructible_v<Function>;

template <class... Functions>
struct list_stateful;
template <>
struct list_stateful<> {
  using type = type_list<>;
};
template <class Function, class... Others>
struct list_stateful<Function, Others...> {
  using others = typename list_stateful<Others...>::type;
  using type = std::conditional_t<stateless<Function>, others, joined<type_list<Function>, others>>;
};

template <class Container>
struct order_of {
  using functions = typename list_stateful<typename Container::hasher, typename Container::key_equal>::type;
  template <class Sink>
  static void put(Sink& sink, const Container& values) {
    if constexpr (functions::size != 0) {
      put_value(sink, values.hash_function());
      put_value(sink, values.key_eq());
    }
  }
  template <class Source>
  static Container get(Source& source) {
    if constexpr (functions::size != 0) {
      auto hash = get_value<typename Container::hasher>(source);
      return Container(0, std::move(hash), get_value<typename Container::key_equal>(source));
    } else {
      return Container();
    }
  }
};
template <class Container>
requires requires { typename Container::key_compare; }
struct order_of<Container> {
  using functions = typename list_stateful<typename Container::key_compare>::type;
  template <class Sink>
  static void put(Sink& sink, const Container& values) {
    if constexpr (functions::size != 0) put_value(sink, values.key_comp());
  }
  template <class Source>
  static Container get(Source& source) {
    if constexpr (functions::size != 0) {
      return Container(get_value<typename Container::key_compare>(source));
    } else {
      return Container();
    }
  }
};

// Sets and maps: elements in order of iteration, so that a sorted one is rebuilt in linear time.
template <class Set>
struct codec_of_set {
  using value_type = typename Set::value_type;
  using order = order_of<Set>;
  using functions = typename order::functions;
  using parts = joined<type_list<value_type>, functions, allocator_part<typename Set::allocator_type>>;
  template <class Sink>
  static void put(Sink& sink, const Set& values) {
    put_count(bytes_of(sink), values.size());
    order::put(sink, values);
    const writer::nesting deeper(bytes_of(sink));
    for (const auto& value : values) put_value(sink, value);
  }
  template <class Source>
  static Set get(Source& source) {
    const auto size = bytes_of(source).get_count(least_bytes<value_type>, "a set");
    const reader::nesting deeper(bytes_of(source));
    auto values = order::get(source);
    if constexpr (requires { values.reserve(size); }) values.reserve(size);
    for (std::size_t i = 0; i < size; ++i) {
      if constexpr (is_filled_in_place<value_type>()) {
        value_type value{};
        get_into(source, value);
        const auto* before = std::addressof(value);
        const auto at = values.emplace_hint(values.end(), std::move(value));
        source.reset_object_address(std::addressof(*at), before);
      } else {
        values.emplace_hint(values.end(), get_value<value_type>(source));
      }
    }
    return values;
  }
};
template <class Key, class Compare, class Allocator>
struct codec<std::set<Key, Compare, Allocator>> : codec_of_set<std::set<Key, Compare, Allocator>> {};
template <class Key, class Compare, class Allocator>
struct codec<std::multiset<Key, Compare, Allocator>> : codec_of_set<std::multiset<Key, Compare, Allocator>> {};
template <class Key, class Hash, class Equal, class Allocator>
struct codec<std::unordered_set<Key, Hash, Equal, Allocator>>
    : codec_of_set<std::unordered_set<Key, Hash, Equal, Allocator>> {};
template <class Key, class Hash, class Equal, class Allocator>
struct codec<std::unordered_multiset<Key, Hash, Equal, Allocator>>
    : codec_of_set<std::unordered_multiset<Key, Hash, Equal, Allocator>> {};

template <class Map>
struct codec_of_map {
  using key_type = typename Map::key_type;
  using mapped_type = typename Map::mapped_type;
  using order = order_of<Map>;
  using functions = typename order::functions;
  using parts = joined<type_list<key_type, mapped_type>, functions, allocator_part<typename Map::allocator_type>>;
  static constexpr std::size_t least = least_bytes<key_type> + least_bytes<mapped_type>;
  template <class Sink>
  static void put(Sink& sink, const Map& values) {
    put_count(bytes_of(sink), values.size());
    order::put(sink, values);
    const writer::nesting deeper(bytes_of(sink));
    for (const auto& [key, value] : values) {
      put_value(sink, key);
      put_value(sink, value);
    }
  }
  template <class Source>
  static Map get(Source& source) {
    const auto size = bytes_of(source).get_count(least, "a map");
    const reader::nesting deeper(bytes_of(source));
    auto values = order::get(source);
    if constexpr (requires { values.reserve(size); }) values.reserve(size);
    for (std::size_t i = 0; i < size; ++i) {
      auto key = get_value<key_type>(source);
      if constexpr (is_filled_in_place<mapped_type>()) {
        const auto at = values.emplace_hint(values.end(), std::piecewise_construct,
                                            std::forward_as_tuple(std::move(key)), std::tuple<>());
        get_into(source, at->second);
      } else {
        values.emplace_hint(values.end(), std::move(key), get_value<mapped_type>(source));
      }
    }
    return values;
  }
};
template <class Key, class T, class Compare, class Allocator>
struct codec<std::map<Key, T, Compare, Allocator>> : codec_of_map<std::map<Key, T, Compare, Allocator>> {};
template <class Key, class T, class Compare, class Allocator>
struct codec<std::multimap<Key, T, Compare, Allocator>> : codec_of_map<std::multimap<Key, T, Compare, Allocator>> {};
template <class Key, class T, class Hash, class Equal, class Allocator>
struct codec<std::unordered_map<Key, T, Hash, Equal, Allocator>>
    : codec_of_map<std::unordered_map<Key, T, Hash, Equal, Allocator>> {};
template <class Key, class T, class Hash, class Equal, class Allocator>
struct codec<std::unordered_multimap<Key, T, Hash, Equal, Allocator>>
    : codec_of_map<std::unordered_multimap<Key, T, Hash, Equal, Allocator>> {};

// Boost's own are known here whether or not their serialization header is included.
template <class Key, class Hash, class Equal, class Allocator>
struct codec<boost::unordered_set<Key, Hash, Equal, Allocator>>
    : codec_of_set<boost::unordered_set<Key, Hash, Equal, Allocator>> {};
template <class Key, class Hash, class Equal, class Allocator>
struct codec<boost::unordered_multiset<Key, Hash, Equal, Allocator>>
    : codec_of_set<boost::unordered_multiset<Key, Hash, Equal, Allocator>> {};
template <class Key, class T, class Hash, class Equal, class Allocator>
struct codec<boost::unordered_map<Key, T, Hash, Equal, Allocator>>
    : codec_of_map<boost::unordered_map<Key, T, Hash, Equal, Allocator>> {};
template <class Key, class T, class Hash, class Equal, class Allocator>
struct codec<boost::unordered_multimap<Key, T, Hash, Equal, Allocator>>
    : codec_of_map<boost::unordered_multimap<Key, T, Hash, Equal, Allocator>> {};

}  // namespace lenskit::detail
