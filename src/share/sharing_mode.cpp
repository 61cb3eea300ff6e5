#include <lenskit/sharing_mode.hpp>

namespace lenskit {
namespace {

thread_local unsigned depth = 0;

}  // namespace

sharing_mode::sharing_mode() noexcept { ++depth; }
sharing_mode::~sharing_mode() { --depth; }

bool in_share_context() noexcept { return depth > 0; }

}  // namespace lenskit
