#include <lenskit/detail/wire/codec.hpp>
#include <lenskit/error.hpp>

#include <boost/archive/archive_exception.hpp>
#include <boost/core/demangle.hpp>

#include <fmt/format.h>

#include <exception>
#include <new>
#include <typeinfo>

namespace lenskit::detail {
namespace {

[[noreturn]] void rethrow_as(const char* doing, const std::type_info& type) {
  try {
    throw;
  } catch (const serialization_error&) {
    throw;
  } catch (const persist_error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    throw serialization_error(fmt::format("cannot {} {}: {}", doing, boost::core::demangle(type.name()), error.what()));
  } catch (...) {
    throw serialization_error(fmt::format("cannot {} {}: its serialize() threw something that is no std::exception",
                                          doing, boost::core::demangle(type.name())));
  }
}

}  // namespace

void fail_decoding(const char* why) { throw serialization_error(fmt::format("cannot decode: {}", why)); }

void fail_encoding(const char* why) { throw serialization_error(fmt::format("cannot encode: {}", why)); }

void check_whole(const std::type_info& actual, const std::type_info& stated) {
  if (actual == stated) return;
  throw serialization_error(fmt::format(
      "cannot encode {0}: it is given by its base {1}, as which it would be cut off; give it as what it is, "
      "or in a std::unique_ptr<{1}>",
      boost::core::demangle(actual.name()), boost::core::demangle(stated.name())));
}

void rethrow_encoding(const std::type_info& type) { rethrow_as("encode", type); }

void rethrow_decoding(const std::type_info& type) { rethrow_as("decode", type); }

void rethrow_too_large(std::size_t bytes) {
  constexpr std::size_t large = std::size_t{1} << 20;
  if (bytes < large) throw;
  throw serialization_error(fmt::format("cannot take a result of {} bytes: there is no memory for it", bytes));
}

}  // namespace lenskit::detail
