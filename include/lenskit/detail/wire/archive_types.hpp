// What the two archives decide alike: which types are theirs to store and which the codec stores, and how a number is
// cut into bytes.
#pragma once

#include <lenskit/detail/wire/traits.hpp>

#include <boost/archive/basic_archive.hpp>
#include <boost/mpl/bool.hpp>
#include <boost/serialization/collection_size_type.hpp>
#include <boost/serialization/item_version_type.hpp>
#include <boost/serialization/library_version_type.hpp>

#include <type_traits>

namespace lenskit::detail {

/// A number that Boost wraps in a class of its own, to tell versions from sizes.
template <class T>
concept boost_number = std::is_same_v<T, boost::serialization::collection_size_type> ||
    std::is_same_v<T, boost::serialization::item_version_type> ||
    std::is_same_v<T, boost::serialization::library_version_type> || std::is_same_v<T, boost::archive::version_type> ||
    std::is_base_of_v<boost::archive::class_id_type, T> || std::is_base_of_v<boost::archive::object_id_type, T> ||
    std::is_same_v<T, boost::archive::tracking_type>;

template <class T>
consteval bool goes_to_codec() {
  return !std::is_pointer_v<T> && route_of<T> != route::none && route_of<T> != route::boost;
}

// A number of the bookkeeping travels in groups of seven bits, the lowest first.
inline constexpr unsigned seven_bits = 0x7f;
inline constexpr unsigned more_follow = 0x80;

// Which values Boost's array_wrapper may hand over as one run of bytes.
struct bitwise_array_optimization {
  template <class T>
  struct apply : boost::mpl::bool_<wire_bitwise<T>> {};
};

}  // namespace lenskit::detail
