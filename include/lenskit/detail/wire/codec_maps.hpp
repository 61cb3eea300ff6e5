// Sets and maps of the standard library.
#pragma once

#include <lenskit/detail/wire/codec.hpp>
#include <lenskit/detail/wire/codec_sequences.hpp>

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace lenskit::detail {

// Sets and maps: elements in order of iteration, so that a sorted one is rebuilt in linear time.
template <class Set>
struct codec_of_set {
  using value_type = typename Set::value_type;
  using parts = type_list<value_type>;
  template <class Sink>
  static void put(Sink& sink, const Set& values) {
    put_count(bytes_of(sink), values.size());
    const writer::nesting deeper(bytes_of(sink));
    for (const auto& value : values) put_value(sink, value);
  }
  template <class Source>
  static Set get(Source& source) {
    const auto size = bytes_of(source).get_count(least_bytes<value_type>, "a set");
    const reader::nesting deeper(bytes_of(source));
    Set values;
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
  using parts = type_list<key_type, mapped_type>;
  static constexpr std::size_t least = least_bytes<key_type> + least_bytes<mapped_type>;
  template <class Sink>
  static void put(Sink& sink, const Map& values) {
    put_count(bytes_of(sink), values.size());
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
    Map values;
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

}  // namespace lenskit::detail
