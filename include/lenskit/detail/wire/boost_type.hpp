// Whether a class has Boost.Serialization support of its own, public, private or beside it.
#pragma once

#include <boost/serialization/serialization.hpp>

#include <type_traits>

namespace lenskit::detail {

class oarchive;

// Looks up `serialize` as Boost will. This overload and Boost's catch-all are equally good, so the call below is
// ambiguous, hence no valid expression, unless there is a better one: that of a user.
namespace boost_lookup {
template <class Archive, class T>
void serialize(Archive&, T&, const unsigned int);
template <class T>
concept has_free_serialize = requires(oarchive& archive, T& value) {
  serialize(archive, value, boost::serialization::version_type(0u));
};
}  // namespace boost_lookup

// The name of a private member cannot be asked for, but it makes the same name of another base ambiguous.
struct named_serialize {
  int serialize;
};
template <class T>
struct with_named_serialize : T, named_serialize {};

template <class T>
consteval bool has_member_serialize() {
  if constexpr (!std::is_class_v<T>) {
    return false;
  } else if constexpr (requires(oarchive & archive, T & value) { value.serialize(archive, 0u); }) {
    return true;
  } else if constexpr (std::is_final_v<T> || requires { &T::serialize; }) {
    return false;  // a public function of another kind
  } else {
    return !requires { &with_named_serialize<T>::serialize; };
  }
}

template <class T>
concept boost_type = std::is_class_v<T> &&(has_member_serialize<T>() || boost_lookup::has_free_serialize<T>);

}  // namespace lenskit::detail
