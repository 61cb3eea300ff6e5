// The archives that carry types with Boost.Serialization support over the wire, one for each message.
//
// They implement Boost's archive interface, so `ar & member`, BOOST_CLASS_EXPORT, versions and pointers work. The
// bookkeeping of classes and objects is their own. Boost's costs an allocation for every tracked object, and trusts
// what it reads: a class or object number that is out of range, or that names an object of another class, is undefined
// behaviour there and a `serialization_error` here (failure D5). Tracking ends with the message: an object that lies
// where an object of an earlier message lay would count as already sent.
#pragma once

#include <lenskit/detail/wire/iarchive.hpp>
#include <lenskit/detail/wire/oarchive.hpp>

#include <boost/archive/detail/register_archive.hpp>
#include <boost/serialization/array_optimization.hpp>

// Exported classes are instantiated for these archives too.
BOOST_SERIALIZATION_REGISTER_ARCHIVE(lenskit::detail::oarchive)
BOOST_SERIALIZATION_REGISTER_ARCHIVE(lenskit::detail::iarchive)
BOOST_SERIALIZATION_USE_ARRAY_OPTIMIZATION(lenskit::detail::oarchive)
BOOST_SERIALIZATION_USE_ARRAY_OPTIMIZATION(lenskit::detail::iarchive)

#include <lenskit/detail/wire/codec.hpp>
