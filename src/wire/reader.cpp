#include <lenskit/detail/wire/reader.hpp>
#include <lenskit/error.hpp>

#include <fmt/format.h>

#include <utility>

namespace lenskit::detail {

descriptor reader::take_attachment() {
  if (attachments_.empty()) throw serialization_error("cannot decode: a descriptor is expected, none came along");
  auto taken = std::move(attachments_.front());
  attachments_ = attachments_.subspan(1);
  return taken;
}

void reader::fail_short(const char* what, std::size_t bytes, std::size_t left) {
  throw serialization_error(
      fmt::format("cannot decode: {} of {} bytes is expected, {} bytes are left", what, bytes, left));
}

void reader::fail_count(const char* what, std::uint64_t count, std::size_t left) {
  throw serialization_error(
      fmt::format("cannot decode: {} claims {} elements, more than the {} bytes left can hold", what, count, left));
}

void reader::fail_depth() {
  throw serialization_error(fmt::format("cannot decode: values lie in one another more than {} deep", max_depth));
}

}  // namespace lenskit::detail
