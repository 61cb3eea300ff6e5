#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/share/mapping.hpp>
#include <lenskit/error.hpp>

#include <boost/interprocess/exceptions.hpp>

#include <fmt/format.h>

#include <cstring>

namespace lenskit::detail {
namespace {

// What Boost.Interprocess maps: here a descriptor that has no name it could be opened by.
struct mappable {
  int fd;
  [[nodiscard]] boost::interprocess::mapping_handle_t get_mapping_handle() const noexcept { return {fd, false}; }
};

[[noreturn]] void fail(std::size_t bytes, int error) {
  throw persist_error(fmt::format("cannot map a model of {} bytes: {}", bytes, std::strerror(error)));
}

boost::interprocess::mapped_region map(int fd, std::size_t bytes) {
  if (!sys::permitted(sys::call::mmap)) fail(bytes, errno);
  try {
    return {mappable{fd}, boost::interprocess::read_only, 0, bytes};
  } catch (const boost::interprocess::interprocess_exception& e) {
    fail(bytes, static_cast<int>(e.get_native_error()));
  }
}

}  // namespace

mapping::mapping(int fd, std::size_t bytes) : region_(map(fd, bytes)) {}

}  // namespace lenskit::detail
