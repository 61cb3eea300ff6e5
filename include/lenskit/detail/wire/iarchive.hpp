// The archive that reads one message, and trusts nothing in it.
#pragma once

#include <lenskit/detail/wire/archive_store.hpp>
#include <lenskit/detail/wire/archive_types.hpp>
#include <lenskit/detail/wire/reader.hpp>

#include <boost/archive/detail/common_iarchive.hpp>
#include <boost/container/small_vector.hpp>
#include <boost/serialization/array_wrapper.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

namespace lenskit::detail {

template <class T, class Source>
void get_into(Source& source, T& value);

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
        undo_pointer();
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
  using find_maker =
      const boost::archive::detail::basic_pointer_iserializer*(const boost::serialization::extended_type_info&);
  const boost::archive::detail::basic_pointer_iserializer* load_pointer(
      void*& object, const boost::archive::detail::basic_pointer_iserializer* expected, find_maker* find);
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
  const boost::archive::detail::basic_pointer_iserializer& load_maker(std::uint64_t index, find_maker* find);
  void* create(const boost::archive::detail::basic_pointer_iserializer& maker, unsigned version, std::size_t number);
  void claim();
  void claim_shared();
  void undo_pointer() noexcept;
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
