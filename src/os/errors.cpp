#include <lenskit/detail/os/errors.hpp>
#include <lenskit/detail/os/system.hpp>

#include <cstring>

namespace lenskit::detail {
namespace {

std::string amount(std::uint64_t limit, const std::string& of) {
  return limit == sys::no_limit ? "any number of " + of : std::to_string(limit) + ' ' + of;
}

}  // namespace

std::string limit_behind(int error) {
  switch (error) {
    case EMFILE:
      return "this process may have " + amount(sys::descriptor_limit(), "descriptors (RLIMIT_NOFILE, ulimit -n)");
    case ENFILE: return "the machine has as many open files as it may (fs.file-max)";
    case EAGAIN:
      return "this user may have " + amount(sys::process_limit(), "processes and threads (RLIMIT_NPROC, ulimit -u)") +
             ", and a control group may allow fewer (pids.max)";
    default: return {};
  }
}

std::string error_text(int error) {
  const auto limit = limit_behind(error);
  return limit.empty() ? std::strerror(error) : std::strerror(error) + (", since " + limit);
}

void throw_errno(const std::string& what, int error) {
  const auto limit = limit_behind(error);
  throw std::system_error(error, std::generic_category(), limit.empty() ? what : what + ", since " + limit);
}

}  // namespace lenskit::detail
