// Owning pointers. What they point to travels with them; shared owners of one object share it again on arrival, within
// one message.
#pragma once

#include <lenskit/detail/wire/codec.hpp>

#include <memory>
#include <type_traits>
#include <utility>

namespace lenskit::detail {

// A polymorphic target needs Boost's registration of classes: taken by its static type it would be cut off.
// Of an array nobody knows how long it is.
template <class T>
using pointee_parts = std::conditional_t<std::is_array_v<T>, type_list<array_of_any_length>,
                                         std::conditional_t<std::is_polymorphic_v<T>, type_list<void>, type_list<T>>>;

template <class T>
struct codec<std::unique_ptr<T>> {
  using target = std::remove_cv_t<T>;
  using parts = pointee_parts<target>;
  template <class Sink>
  static void put(Sink& sink, const std::unique_ptr<T>& pointer) {
    bytes_of(sink).put(static_cast<unsigned char>(pointer != nullptr));
    if (!pointer) return;
    const writer::nesting deeper(bytes_of(sink));
    put_value(sink, *pointer);
  }
  template <class Source>
  static std::unique_ptr<T> get(Source& source) {
    if (!get_value<bool>(source)) return nullptr;
    const reader::nesting deeper(bytes_of(source));
    if constexpr (is_filled_in_place<target>()) {
      auto pointer = std::make_unique<target>();
      get_into(source, *pointer);
      return pointer;
    } else {
      return std::unique_ptr<T>(new target(get_value<target>(source)));
    }
  }
};

template <class T>
requires boost_type<std::remove_cv_t<T>>
struct codec<std::unique_ptr<T>> {
  using target = std::remove_cv_t<T>;
  using parts = type_list<>;
  static constexpr bool through_archive = true;
  static void put(oarchive& archive, const std::unique_ptr<T>& pointer) {
    const target* const raw = pointer.get();
    archive << raw;
  }
  static std::unique_ptr<T> get(iarchive& archive) { return std::unique_ptr<T>(archive.load_owned<target>()); }
};

template <class T>
struct codec<std::shared_ptr<T>> {
  using target = std::remove_cv_t<T>;
  using parts = pointee_parts<target>;
  static constexpr bool through_archive = true;
  static inline constexpr char type = 0;  // its address stands for T

  static void put(oarchive& archive, const std::shared_ptr<T>& pointer) {
    archive.out().put(static_cast<unsigned char>(pointer != nullptr));
    if (!pointer || !archive.share(pointer.get(), &type)) return;
    const writer::nesting deeper(archive.out());
    put_value(archive, *pointer);
  }
  static std::shared_ptr<T> get(iarchive& archive) {
    if (!get_value<bool>(archive)) return nullptr;
    const auto place = archive.unshare(&type);
    if (!place.fresh) return std::static_pointer_cast<target>(archive.owner(place.number));
    const reader::nesting deeper(archive.in());
    std::shared_ptr<target> pointer;
    if constexpr (is_filled_in_place<target>()) {
      pointer = std::make_shared<target>();
      get_into(archive, *pointer);
    } else {
      pointer = std::make_shared<target>(get_value<target>(archive));
    }
    archive.set_owner(place.number, pointer);
    return pointer;
  }
};

template <class T>
requires boost_type<std::remove_cv_t<T>>
struct codec<std::shared_ptr<T>> {
  using target = std::remove_cv_t<T>;
  using parts = type_list<>;
  static constexpr bool through_archive = true;
  static void put(oarchive& archive, const std::shared_ptr<T>& pointer) {
    const target* const raw = pointer.get();
    archive << raw;
  }
  static std::shared_ptr<T> get(iarchive& archive) { return archive.load_shared<target>(); }
};

}  // namespace lenskit::detail
