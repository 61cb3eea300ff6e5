// The archives that carry types with Boost.Serialization support over the wire, one for each message.
//
// They implement Boost's archive interface, so `ar & member`, BOOST_CLASS_EXPORT, versions and pointers work. The
// bookkeeping of classes and objects is their own. Boost's costs an allocation for every tracked object, and trusts
// what it reads: a class or object number that is out of range, or that names an object of another class, is undefined
// behaviour there and a `serialization_error` here (failure D5). Tracking ends with the message: an object that lies
// where an object of an earlier message lay would count as already sent.
#pragma once

#include <lenskit/detail/wire/reader.hpp>
#include <lenskit/detail/wire/traits.hpp>
#include <lenskit/detail/wire/writer.hpp>

#include <boost/archive/detail/common_iarchive.hpp>
#include <boost/archive/detail/common_oarchive.hpp>
#include <boost/archive/detail/register_archive.hpp>
#include <boost/container/small_vector.hpp>
#include <boost/mpl/bool.hpp>
#include <boost/serialization/array_optimization.hpp>
#include <boost/serialization/array_wrapper.hpp>
#include <boost/serialization/collection_size_type.hpp>
#include <boost/serialization/is_bitwise_serializable.hpp>
#include <boost/serialization/item_version_type.hpp>
#include <boost/serialization/library_version_type.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace lenskit::detail {

/// Takes arrays out of band, while a model is written into a mapping.
struct array_store {
  virtual ~array_store() = default;
  virtual std::uint64_t put(const void* data, std::size_t bytes, std::size_t align) = 0;  // a token for `get`
  virtual void keep(std::shared_ptr<const void>) {}  // what owns an array that was put: it may be a temporary
};

/// Finds them again, while a model is read from its mapping.
struct array_source {
  virtual ~array_source() = default;
  virtual std::span<const std::byte> get(std::uint64_t token, std::size_t bytes) = 0;
  virtual std::shared_ptr<const void> keeper() = 0;  // the mapping lives as long as this does
};

class oarchive;
class iarchive;
template <class T, class Sink>
void put_value(Sink& sink, const T& value);
template <class T, class Source>
void get_into(Source& source, T& value);

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

// Which values Boost's array_wrapper may hand over as one run of bytes.
struct bitwise_array_optimization {
  template <class T>
  struct apply : boost::mpl::bool_<wire_bitwise<T>> {};
};

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

class iarchive : public boost::archive::detail::common_iarchive<iarchive> {
  using base = boost::archive::detail::common_iarchive<iarchive>;

 public:
  using use_array_optimization = bitwise_array_optimization;

  explicit iarchive(reader& in, array_source* source = nullptr);
  ~iarchive() override;

  [[nodiscard]] reader& in() noexcept { return in_; }
  /// Where arrays are that were kept out of band; null in a message.
  [[nodiscard]] array_source* source() const noexcept { return source_; }

  template <class T>
  void load_override(T& value) {
    if constexpr (boost_number<T>) {
      load(value);
    } else if constexpr (goes_to_codec<T>()) {
      get_into(*this, value);
    } else if constexpr (std::is_pointer_v<T>) {
      const fresh_guard guard(*this);
      value = nullptr;
      try {
        base::load_override(value);
      } catch (...) {
        value = nullptr;  // may have been set to an object of a class that is not T's
        abandon();
        throw;
      }
    } else {
      base::load_override(value);
    }
  }
  // Wrappers like nvp and array_wrapper are temporaries.
  template <class T>
  void load_override(const T& wrapper) {
    base::load_override(const_cast<T&>(wrapper));
  }

  // What Boost asks of an archive.
  template <class T>
  void load(T& value) {
    if constexpr (std::is_same_v<T, boost::serialization::collection_size_type>) {
      value = boost::serialization::collection_size_type(get_size());
    } else if constexpr (std::is_base_of_v<boost::archive::class_id_type, T>) {
      fail_bookkeeping("a class");  // never asked for: load_pointer is our own
    } else if constexpr (boost_number<T>) {
      value = T(static_cast<std::uint32_t>(get_number()));
    } else {
      get_into(*this, value);
    }
  }
  void load(boost::archive::class_name_type& name);
  void load_binary(void* into, std::size_t bytes) { in_.get_into(into, bytes, "a binary object"); }
  template <class T>
  void load_array(const boost::serialization::array_wrapper<T>& array, unsigned int) {
    if (array.count() > in_.left() / sizeof(T)) [[unlikely]]
      (void)in_.take(in_.left() + 1, "an array");
    in_.get_into(array.address(), array.count() * sizeof(T), "an array");
  }
  void load_object(void* object, const boost::archive::detail::basic_iserializer& serializer);
  const boost::archive::detail::basic_pointer_iserializer* load_pointer(
      void*& object, const boost::archive::detail::basic_pointer_iserializer* expected,
      const boost::archive::detail::basic_pointer_iserializer* (*find)(
          const boost::serialization::extended_type_info&));
  void register_basic_serializer(const boost::archive::detail::basic_iserializer& serializer) {
    (void)class_number(&serializer);
  }
  // Boost's own shared_ptr support keeps what it owns in a helper.
  boost::archive::detail::helper_collection& get_helper_collection() {
    has_helpers_ = true;
    return base::get_helper_collection();
  }
  void reset_object_address(const void* now, const void* before) noexcept;

  /// Where `share` found an object: a place for its owner, and whether it has to be read first.
  struct shared_place {
    std::size_t number;
    bool fresh;
  };
  shared_place unshare(const void* type);
  [[nodiscard]] const std::shared_ptr<void>& owner(std::size_t number) const { return objects_[number].owner; }
  void set_owner(std::size_t number, std::shared_ptr<void> owner);

  /// The one owner of what a pointer was just read into (`unique_ptr`): a second one is refused.
  template <class T>
  T* load_owned() {
    T* pointer = nullptr;
    *this >> pointer;
    if (pointer != nullptr) claim();
    return pointer;
  }
  /// The same for shared owners: all of one object share it.
  template <class T>
  std::shared_ptr<T> load_shared() {
    T* pointer = nullptr;
    *this >> pointer;
    if (pointer == nullptr) return {};
    if (last_object_ == untracked) return std::shared_ptr<T>(pointer);
    const auto number = last_object_;
    if (objects_[number].owner) return std::shared_ptr<T>(objects_[number].owner, pointer);
    claim_shared();
    std::shared_ptr<T> first(pointer);
    set_owner(number, first);
    return first;
  }

 private:
  struct known_class {
    const boost::archive::detail::basic_iserializer* serializer;
    bool announced;
    bool tracked;
    unsigned version;
  };
  struct seen_object {
    void* address;
    const void* type;
    bool by_pointer;
    bool complete;    // as far as it was made for a pointer
    bool referenced;  // somebody else points to it too
    bool owned;
    std::shared_ptr<void> owner;
  };
  struct pending_object {
    void* address = nullptr;
    const void* type = nullptr;
    unsigned version = 0;
    bool constructed = false;
  };
  struct fresh_object {
    void* address = nullptr;
    const boost::archive::detail::basic_iserializer* serializer = nullptr;
  };
  class fresh_guard {  // each pointer being read has a fresh object of its own
   public:
    explicit fresh_guard(iarchive& archive) noexcept : archive_(archive), outer_(archive.fresh_) {
      archive_.fresh_ = {};
    }
    ~fresh_guard() { archive_.fresh_ = outer_; }
    fresh_guard(const fresh_guard&) = delete;
    fresh_guard& operator=(const fresh_guard&) = delete;

   private:
    iarchive& archive_;
    fresh_object outer_;
  };

  static constexpr std::size_t untracked = SIZE_MAX;
  static constexpr std::size_t few = 8;

  [[noreturn]] static void fail_bookkeeping(const char* what);
  std::uint64_t get_number();
  std::size_t get_size();
  std::size_t get_object_number();
  std::size_t class_number(const boost::archive::detail::basic_iserializer* serializer);
  void hear_of(known_class& known);
  void* create(const boost::archive::detail::basic_pointer_iserializer& maker, unsigned version, std::size_t number);
  void claim();
  void claim_shared();
  void abandon() noexcept;
  void destroy_fresh() noexcept;

  reader& in_;
  array_source* source_;
  boost::container::small_vector<known_class, few> classes_;
  boost::container::small_vector<seen_object, few> objects_;
  pending_object pending_;
  fresh_object fresh_;
  bool has_helpers_ = false;
  std::size_t last_object_ = untracked;  // the number of what the last pointer pointed to
};

}  // namespace lenskit::detail

// Exported classes are instantiated for these archives too.
BOOST_SERIALIZATION_REGISTER_ARCHIVE(lenskit::detail::oarchive)
BOOST_SERIALIZATION_REGISTER_ARCHIVE(lenskit::detail::iarchive)
BOOST_SERIALIZATION_USE_ARRAY_OPTIMIZATION(lenskit::detail::oarchive)
BOOST_SERIALIZATION_USE_ARRAY_OPTIMIZATION(lenskit::detail::iarchive)

#include <lenskit/detail/wire/codec.hpp>
