#include <lenskit/detail/wire/archive.hpp>
#include <lenskit/error.hpp>

#include <boost/archive/archive_exception.hpp>
#include <boost/archive/detail/basic_iserializer.hpp>
#include <boost/archive/detail/basic_oserializer.hpp>
#include <boost/archive/detail/basic_pointer_iserializer.hpp>
#include <boost/archive/detail/basic_pointer_oserializer.hpp>
#include <boost/archive/impl/archive_serializer_map.ipp>
#include <boost/serialization/extended_type_info.hpp>

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <functional>
#include <string>
#include <utility>

namespace boost::archive::detail {
template class archive_serializer_map<lenskit::detail::oarchive>;
template class archive_serializer_map<lenskit::detail::iarchive>;
}  // namespace boost::archive::detail

namespace lenskit::detail {
namespace {

using boost::archive::archive_exception;
using boost::archive::detail::basic_iserializer;
using boost::archive::detail::basic_oserializer;
using boost::archive::detail::basic_pointer_iserializer;
using boost::archive::detail::basic_pointer_oserializer;

constexpr unsigned seven_bits = 0x7f;
constexpr unsigned more_follow = 0x80;

// Sets a variable for as long as it lives.
template <class Value>
class scoped {
 public:
  scoped(Value& place, Value now) : place_(place), before_(std::exchange(place, std::move(now))) {}
  ~scoped() { place_ = before_; }
  scoped(const scoped&) = delete;
  scoped& operator=(const scoped&) = delete;

 private:
  Value& place_;
  Value before_;
};

std::size_t hash_of(const void* object, const void* type) noexcept {
  const auto mixed = (std::bit_cast<std::uintptr_t>(object) ^ std::rotl(std::bit_cast<std::uintptr_t>(type), 32)) *
                     std::uint64_t{0x9e3779b97f4a7c15};
  return mixed >> 32;
}

template <class Serializer>
unsigned version_of(const Serializer& serializer) {
  const boost::archive::version_type version = serializer.version();
  return version;
}

}  // namespace

// --- out ------------------------------------------------------------------------------------------------------------

oarchive::oarchive(writer& out, array_store* store) : base(boost::archive::no_header), out_(out), store_(store) {}

oarchive::~oarchive() = default;

void oarchive::put_number(std::uint64_t number) {
  while (number > seven_bits) {
    out_.put(static_cast<unsigned char>((number & seven_bits) | more_follow));
    number >>= 7;
  }
  out_.put(static_cast<unsigned char>(number));
}

void oarchive::save(const boost::archive::class_name_type& name) {
  const char* text = name.t;
  const auto size = std::strlen(text);
  put_number(size);
  out_.put(text, size);
}

// Classes are numbered in the order in which either side first hears of them, which is the same on both.
std::size_t oarchive::class_number(const void* serializer) {
  for (std::size_t i = 0; i < classes_.size(); ++i)
    if (classes_[i].serializer == serializer) return i;
  classes_.push_back({serializer, false});
  return classes_.size() - 1;
}

void oarchive::announce(std::size_t number, const basic_oserializer& serializer) {
  if (std::exchange(classes_[number].announced, true) || !serializer.class_info()) return;
  out_.put(static_cast<unsigned char>(serializer.tracking(0)));
  put_number(version_of(serializer));
}

void oarchive::widen() {
  if (objects_.empty()) {
    objects_.resize(2 * few);
    return;
  }
  decltype(objects_) wider(objects_.size() * 2);
  for (const auto& each : objects_) {
    if (each.address == nullptr) continue;
    auto at = hash_of(each.address, each.type) & (wider.size() - 1);
    while (wider[at].address != nullptr) at = (at + 1) & (wider.size() - 1);
    wider[at] = each;
  }
  objects_ = std::move(wider);
}

std::pair<oarchive::sent_object*, bool> oarchive::enlist(const void* object, const void* type) {
  if (object_count_ * 2 >= objects_.size()) widen();
  auto at = hash_of(object, type) & (objects_.size() - 1);
  for (; objects_[at].address != nullptr; at = (at + 1) & (objects_.size() - 1))
    if (objects_[at].address == object && objects_[at].type == type) return {&objects_[at], false};
  objects_[at] = {object, type, object_count_++, false};
  return {&objects_[at], true};
}

bool oarchive::share(const void* object, const void* type) {
  const auto [entry, fresh] = enlist(object, type);
  put_number(entry->number);
  return fresh;
}

void oarchive::save_object(const void* object, const basic_oserializer& serializer) {
  if (object == pending_object_ && &serializer == pending_type_) {  // the target of a pointer: announced already
    serializer.save_object_data(*this, object);
    return;
  }
  announce(class_number(&serializer), serializer);
  if (serializer.tracking(0)) {
    const auto [entry, fresh] = enlist(object, &serializer);
    put_number(entry->number);
    if (!fresh) {
      // Loading it would make two objects of one.
      if (entry->by_pointer) throw archive_exception(archive_exception::pointer_conflict);
      return;
    }
  }
  serializer.save_object_data(*this, object);
}

void oarchive::save_pointer(const void* object, const basic_pointer_oserializer* pointer_serializer) {
  const writer::nesting deeper(out_);
  const auto& serializer = pointer_serializer->get_basic_serializer();
  const auto known = classes_.size();
  const auto number = class_number(&serializer);
  put_number(number + 1);  // 0 is the null pointer
  if (number == known && serializer.is_polymorphic()) {
    // The other side cannot know which of the derived classes it is: exported classes have names.
    const auto* key = serializer.get_eti().get_key();
    if (key == nullptr) throw archive_exception(archive_exception::unregistered_class, serializer.get_debug_info());
    save(boost::archive::class_name_type(key));
  }
  announce(number, serializer);
  if (serializer.tracking(0)) {
    const auto [entry, fresh] = enlist(object, &serializer);
    put_number(entry->number);
    if (!fresh) return;
    entry->by_pointer = true;
  }
  const scoped object_scope(pending_object_, object);
  const scoped type_scope(pending_type_, static_cast<const void*>(&serializer));
  pointer_serializer->save_object_ptr(*this, object);
}

// --- in -------------------------------------------------------------------------------------------------------------

iarchive::iarchive(reader& in, array_source* source) : base(boost::archive::no_header), in_(in), source_(source) {}

iarchive::~iarchive() = default;

void iarchive::fail_bookkeeping(const char* what) {
  throw serialization_error(fmt::format("cannot decode: {} is named that was not there before", what));
}

std::uint64_t iarchive::get_number() {
  std::uint64_t number = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const auto byte = in_.get<unsigned char>("a number");
    number |= static_cast<std::uint64_t>(byte & seven_bits) << shift;
    if ((byte & more_follow) == 0) return number;
  }
  throw serialization_error("cannot decode: a number has no end");
}

// The size of a container that Boost itself reads. Its elements take a byte or more each, or nothing at all.
std::size_t iarchive::get_size() {
  const auto size = get_number();
  if (size > in_.left()) (void)in_.take(size, "a container");
  return static_cast<std::size_t>(size);
}

std::size_t iarchive::get_object_number() {
  const auto number = get_number();
  if (number > objects_.size()) fail_bookkeeping("an object");
  return static_cast<std::size_t>(number);
}

void iarchive::load(boost::archive::class_name_type& name) {
  const auto size = get_number();
  if (size >= BOOST_SERIALIZATION_MAX_KEY_SIZE) fail_bookkeeping("a class");
  in_.get_into(static_cast<char*>(name), size, "the name of a class");
  static_cast<char*>(name)[size] = '\0';
}

std::size_t iarchive::class_number(const basic_iserializer* serializer) {
  for (std::size_t i = 0; i < classes_.size(); ++i)
    if (classes_[i].serializer == serializer) return i;
  classes_.push_back({serializer, false, false, 0});
  return classes_.size() - 1;
}

void iarchive::hear_of(known_class& known) {
  if (std::exchange(known.announced, true)) return;
  known.tracked = known.serializer->tracking(0);
  known.version = version_of(*known.serializer);
  if (!known.serializer->class_info()) return;
  known.tracked = in_.get<unsigned char>("a class") != 0;
  const auto version = get_number();
  if (version > known.version)
    throw archive_exception(archive_exception::unsupported_class_version, known.serializer->get_debug_info());
  known.version = static_cast<unsigned>(version);
}

void iarchive::load_object(void* object, const basic_iserializer& serializer) {
  if (object == pending_.address && &serializer == pending_.type && !pending_.constructed) {
    pending_.constructed = true;
    serializer.load_object_data(*this, object, pending_.version);
    return;
  }
  auto& known = classes_[class_number(&serializer)];
  hear_of(known);
  const auto version = known.version;
  if (known.tracked) {
    const auto number = get_object_number();
    if (number < objects_.size()) {
      if (objects_[number].type != &serializer) fail_bookkeeping("an object of this class");
      return;  // it was sent before
    }
    objects_.push_back({object, &serializer, false, false, false, false, {}});
  }
  serializer.load_object_data(*this, object, version);
}

const basic_pointer_iserializer* iarchive::load_pointer(
    void*& object, const basic_pointer_iserializer* expected,
    const basic_pointer_iserializer* (*find)(const boost::serialization::extended_type_info&)) {
  object = nullptr;
  last_object_ = untracked;
  const auto tag = get_number();
  if (tag == 0) return expected;
  const reader::nesting deeper(in_);

  const auto index = tag - 1;
  if (index > classes_.size()) fail_bookkeeping("a class");
  const basic_pointer_iserializer* maker = nullptr;
  if (index < classes_.size()) {
    maker = classes_[index].serializer->get_bpis_ptr();
  } else {
    char key[BOOST_SERIALIZATION_MAX_KEY_SIZE];
    boost::archive::class_name_type name(key);
    load(name);
    const auto* type = boost::serialization::extended_type_info::find(key);
    maker = type != nullptr ? find(*type) : nullptr;
  }
  if (maker == nullptr) throw archive_exception(archive_exception::unregistered_class);
  const auto& serializer = maker->get_basic_serializer();
  if (class_number(&serializer) != index) fail_bookkeeping("a class");
  hear_of(classes_[index]);

  auto number = untracked;
  if (classes_[index].tracked) {
    number = get_object_number();
    if (number < objects_.size()) {
      auto& seen = objects_[number];
      if (seen.type != &serializer) fail_bookkeeping("an object of this class");
      seen.referenced = true;
      object = seen.address;
      last_object_ = number;
      return maker;
    }
    objects_.push_back({nullptr, &serializer, true, false, false, false, {}});
  }
  object = create(*maker, classes_[index].version, number);
  if (number != untracked) objects_[number].complete = true;
  last_object_ = number;
  fresh_ = {object, &serializer};
  return maker;
}

void* iarchive::create(const basic_pointer_iserializer& maker, unsigned version, std::size_t number) {
  const auto& serializer = maker.get_basic_serializer();
  auto* const object = maker.heap_allocation();
  if (number != untracked) objects_[number].address = object;
  const auto outer = std::exchange(pending_, {object, &serializer, version, false});
  try {
    maker.load_object_ptr(*this, object, version);
  } catch (...) {
    // Only a constructed object can be destroyed; memory whose constructor threw stays behind, since nobody here
    // knows which operator new it came from.
    const auto constructed = std::exchange(pending_, outer).constructed;
    fresh_ = constructed ? fresh_object{object, &serializer} : fresh_object{};
    last_object_ = number;
    destroy_fresh();
    throw;
  }
  pending_ = outer;
  return object;
}

// The pointer being read has failed: what it made has no owner yet, and what it referred to is not referred to.
void iarchive::abandon() noexcept {
  if (fresh_.address == nullptr && last_object_ != untracked) objects_[last_object_].referenced = false;
  destroy_fresh();
}

void iarchive::destroy_fresh() noexcept {
  const auto fresh = std::exchange(fresh_, {});
  if (fresh.address == nullptr) return;
  if (last_object_ != untracked) {
    auto& seen = objects_[last_object_];
    if (seen.owned || (seen.referenced && has_helpers_)) return;  // a helper may own it: better lost than freed twice
    seen.address = nullptr;
    seen.type = nullptr;
  }
  fresh.serializer->destroy(fresh.address);
}

void iarchive::claim() {
  if (last_object_ == untracked) return;  // every pointer to an untracked class makes an object of its own
  auto& seen = objects_[last_object_];
  if (!seen.complete) {
    seen.referenced = false;
    throw serialization_error("cannot decode: an object owns itself");
  }
  claim_shared();
}

// A shared or weak pointer may refer to what it lies in.
void iarchive::claim_shared() {
  auto& seen = objects_[last_object_];
  if (!seen.by_pointer || seen.owned) throw serialization_error("cannot decode: an object has two owners");
  seen.owned = true;
}

void iarchive::reset_object_address(const void* now, const void* before) noexcept {
  auto first = objects_.size();
  while (first > 0 && (objects_[first - 1].by_pointer || objects_[first - 1].address != before)) --first;
  if (first == 0) return;  // not a tracked object
  for (auto i = first - 1; i < objects_.size(); ++i) {
    auto& each = objects_[i];
    if (each.by_pointer || std::less<const void*>()(each.address, before)) continue;
    const auto offset = static_cast<char*>(each.address) - static_cast<const char*>(before);
    each.address = const_cast<char*>(static_cast<const char*>(now)) + offset;
  }
}

iarchive::shared_place iarchive::unshare(const void* type) {
  const auto number = get_object_number();
  if (number == objects_.size()) {
    objects_.push_back({nullptr, type, false, false, false, true, {}});
    return {number, true};
  }
  // An object whose owner is not there yet contains itself.
  if (objects_[number].type != type || !objects_[number].owner) fail_bookkeeping("a shared object");
  return {number, false};
}

void iarchive::set_owner(std::size_t number, std::shared_ptr<void> owner) { objects_[number].owner = std::move(owner); }

}  // namespace lenskit::detail
