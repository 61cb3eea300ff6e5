#include <lenskit/detail/wire/archive.hpp>
#include <lenskit/error.hpp>

#include <boost/archive/archive_exception.hpp>
#include <boost/archive/detail/basic_iserializer.hpp>
#include <boost/archive/detail/basic_pointer_iserializer.hpp>
#include <boost/serialization/extended_type_info.hpp>

#include <fmt/format.h>

#include <functional>
#include <memory>
#include <utility>

namespace lenskit::detail {
namespace {

using boost::archive::archive_exception;
using boost::archive::detail::basic_iserializer;
using boost::archive::detail::basic_pointer_iserializer;

unsigned version_of(const basic_iserializer& serializer) {
  const boost::archive::version_type version = serializer.version();
  return version;
}

}  // namespace

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

// Of a class that is known, or is named here.
const basic_pointer_iserializer& iarchive::load_maker(std::uint64_t index, find_maker* find) {
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
  if (class_number(&maker->get_basic_serializer()) != index) fail_bookkeeping("a class");
  hear_of(classes_[index]);
  return *maker;
}

const basic_pointer_iserializer* iarchive::load_pointer(void*& object, const basic_pointer_iserializer* expected,
                                                        find_maker* find) {
  object = nullptr;
  last_object_ = untracked;
  const auto tag = get_number();
  if (tag == 0) return expected;
  const reader::nesting deeper(in_);

  const auto index = tag - 1;
  const auto& maker = load_maker(index, find);
  const auto& serializer = maker.get_basic_serializer();
  auto number = untracked;
  if (classes_[index].tracked) {
    number = get_object_number();
    if (number < objects_.size()) {
      auto& seen = objects_[number];
      if (seen.type != &serializer) fail_bookkeeping("an object of this class");
      seen.referenced = true;
      object = seen.address;
      last_object_ = number;
      return &maker;
    }
    objects_.push_back({nullptr, &serializer, true, false, false, false, {}});
  }
  object = create(maker, classes_[index].version, number);
  if (number != untracked) objects_[number].complete = true;
  last_object_ = number;
  fresh_ = {object, &serializer};
  return &maker;
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
void iarchive::undo_pointer() noexcept {
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
