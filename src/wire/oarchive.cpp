#include <lenskit/detail/wire/archive.hpp>

#include <boost/archive/archive_exception.hpp>
#include <boost/archive/detail/basic_oserializer.hpp>
#include <boost/archive/detail/basic_pointer_oserializer.hpp>
#include <boost/serialization/extended_type_info.hpp>

#include <bit>
#include <cstring>
#include <utility>

namespace lenskit::detail {
namespace {

using boost::archive::archive_exception;
using boost::archive::detail::basic_oserializer;
using boost::archive::detail::basic_pointer_oserializer;

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

unsigned version_of(const basic_oserializer& serializer) {
  const boost::archive::version_type version = serializer.version();
  return version;
}

}  // namespace

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
  if (object_count_ * std::size_t{2} >= objects_.size()) widen();
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

}  // namespace lenskit::detail
