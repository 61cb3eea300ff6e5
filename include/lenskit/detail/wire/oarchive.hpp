// The archive that writes one message.
#pragma once

#include <lenskit/detail/wire/archive_store.hpp>
#include <lenskit/detail/wire/archive_types.hpp>
#include <lenskit/detail/wire/writer.hpp>

#include <boost/archive/detail/common_oarchive.hpp>
#include <boost/container/small_vector.hpp>
#include <boost/serialization/array_wrapper.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace lenskit::detail {

template <class T, class Sink>
void put_value(Sink& sink, const T& value);

class oarchive : public boost::archive::detail::common_oarchive<oarchive> {
  using base = boost::archive::detail::common_oarchive<oarchive>;

 public:
  using use_array_optimization = bitwise_array_optimization;

  explicit oarchive(writer& out, array_store* store = nullptr);
  ~oarchive() override;

  [[nodiscard]] writer& out() noexcept { return out_; }
  /// Where arrays go that are kept out of band; null in a message.
  [[nodiscard]] array_store* store() const noexcept { return store_; }

  template <class T>
  void save_override(const T& value) {
    if constexpr (boost_number<T>) {
      save(value);
    } else if constexpr (goes_to_codec<T>()) {
      put_value(*this, value);
    } else {
      base::save_override(value);
    }
  }

  // What Boost asks of an archive.
  template <class T>
  void save(const T& value) {
    if constexpr (std::is_base_of_v<boost::archive::class_id_type, T>) {
      put_number(0);  // only a null pointer comes this way
    } else if constexpr (boost_number<T>) {
      put_number(static_cast<std::uint64_t>(value));
    } else {
      put_value(*this, value);
    }
  }
  void save(const boost::archive::class_name_type& name);
  void save_binary(const void* data, std::size_t bytes) { out_.put(data, bytes); }
  template <class T>
  void save_array(const boost::serialization::array_wrapper<T>& array, unsigned int) {
    out_.put(array.address(), array.count() * sizeof(T));
  }
  void save_object(const void* object, const boost::archive::detail::basic_oserializer& serializer);
  void save_pointer(const void* object, const boost::archive::detail::basic_pointer_oserializer* serializer);
  void register_basic_serializer(const boost::archive::detail::basic_oserializer& serializer) {
    (void)class_number(&serializer);
  }

  /// For a shared object that Boost does not track: its number, and whether it still has to be sent. `type` is any
  /// address that stands for the type, since an object and its first member lie at one address.
  bool share(const void* object, const void* type);

 private:
  struct known_class {
    const void* serializer;
    bool announced;
  };
  struct sent_object {
    const void* address = nullptr;
    const void* type = nullptr;
    std::uint32_t number = 0;
    bool by_pointer = false;
  };

  void put_number(std::uint64_t number);
  std::size_t class_number(const void* serializer);
  void announce(std::size_t number, const boost::archive::detail::basic_oserializer& serializer);
  std::pair<sent_object*, bool> enlist(const void* object, const void* type);
  void widen();

  static constexpr std::size_t few = 8;  // so that a small message allocates nothing

  writer& out_;
  array_store* store_;
  boost::container::small_vector<known_class, few> classes_;
  boost::container::small_vector<sent_object, 2 * few> objects_;  // open addressing, a power of two
  std::uint32_t object_count_ = 0;
  const void* pending_object_ = nullptr;
  const void* pending_type_ = nullptr;
};

}  // namespace lenskit::detail
