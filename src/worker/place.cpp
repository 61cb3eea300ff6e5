#include <lenskit/detail/worker/place.hpp>
#include <lenskit/error.hpp>

#include <fmt/format.h>

namespace lenskit::detail {

void fail_to_send_code() {
  throw serialization_error("cannot send a function pointer: what it points to is part of no program and no library");
}

void fail_to_find_code(const code_address& where) {
  throw serialization_error(fmt::format("cannot read a function pointer: {} has no code at {:#x} in this process",
                                        where.object.empty() ? "the program" : where.object, where.offset));
}

}  // namespace lenskit::detail
