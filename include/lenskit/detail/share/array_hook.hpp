// How a shared_array goes through an archive of Boost.Serialization that is not ours: inline.
#pragma once

#include <boost/serialization/array_wrapper.hpp>
#include <boost/serialization/binary_object.hpp>
#include <boost/serialization/level.hpp>
#include <boost/serialization/nvp.hpp>
#include <boost/serialization/tracking.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace lenskit {
template <class T>
class shared_array;
}

namespace lenskit::detail {

/// The way into a shared_array for the code that loads one.
struct array_access {
  template <class T>
  static shared_array<T> make(std::shared_ptr<const void> keeper, const T* data, std::size_t size) noexcept {
    return shared_array<T>(std::move(keeper), data, size);
  }
  template <class T>
  static const std::shared_ptr<const void>& keeper(const shared_array<T>& array) noexcept {
    return array.keeper_;
  }
};

/// Room for `size` elements, not initialised. Throws std::bad_array_new_length or std::bad_alloc.
template <class T>
std::shared_ptr<T> allocate_elements(std::size_t size) {
  constexpr std::align_val_t alignment{alignof(T)};
  if (size > PTRDIFF_MAX / sizeof(T)) throw std::bad_array_new_length();
  auto* const room = ::operator new(size * sizeof(T), alignment);
  return std::shared_ptr<T>(static_cast<T*>(room), [](T* elements) { ::operator delete(elements, alignment); });
}

// Numbers are stored as numbers, so that an ordinary archive stays readable on other machines; of a structure nobody
// has to know more than its bytes.
template <class Archive, class T>
void archive_elements(Archive& archive, T* elements, std::size_t size) {
  if constexpr (std::is_arithmetic_v<T>) {
    auto values = boost::serialization::make_array(elements, size);
    archive& boost::serialization::make_nvp("elements", values);
  } else {
    auto bytes = boost::serialization::make_binary_object(elements, size * sizeof(T));
    archive& boost::serialization::make_nvp("elements", bytes);
  }
}

template <class Archive, class T>
void save_array(Archive& archive, const T* data, std::size_t size) {
  const auto count = static_cast<std::uint64_t>(size);
  archive << boost::serialization::make_nvp("size", count);
  if (size > 0) archive_elements(archive, const_cast<T*>(data), size);  // Boost's wrappers serve saving and loading
}

template <class T, class Archive>
shared_array<T> load_array(Archive& archive) {
  std::uint64_t count = 0;
  archive >> boost::serialization::make_nvp("size", count);
  if (count == 0) return {};
  auto elements = allocate_elements<T>(count);
  archive_elements(archive, elements.get(), count);
  return array_access::make<T>(elements, elements.get(), count);
}

}  // namespace lenskit::detail

// Neither a version nor an address is worth storing for an array, and one array is often copied about.
namespace boost::serialization {
template <class T>
struct implementation_level_impl<const lenskit::shared_array<T>> {
  using tag = mpl::integral_c_tag;
  using type = mpl::int_<object_serializable>;
  static constexpr int value = object_serializable;
};
template <class T>
struct tracking_level<lenskit::shared_array<T>> {
  using tag = mpl::integral_c_tag;
  using type = mpl::int_<track_never>;
  static constexpr int value = track_never;
};
}  // namespace boost::serialization
