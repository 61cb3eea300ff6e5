// Boost's lists of the classes that each archive can store by pointer. Their definitions have no guard: they stand here
// once for both archives.
#include <lenskit/detail/wire/archive.hpp>

#include <boost/archive/impl/archive_serializer_map.ipp>

template class boost::archive::detail::archive_serializer_map<lenskit::detail::iarchive>;
template class boost::archive::detail::archive_serializer_map<lenskit::detail::oarchive>;
