#include <lenskit/version.hpp>

#include <fmt/core.h>
#include <spdlog/version.h>
#include <boost/version.hpp>

#include <sys/utsname.h>

#include "sections.hpp"

namespace lenskit::doctor {
namespace {

std::string compiler() {
#ifdef __clang__
  return fmt::format("clang {}", __clang_version__);
#else
  return fmt::format("gcc {}", __VERSION__);
#endif
}

std::string sanitizers() {
#if defined(__SANITIZE_ADDRESS__)
  return "address";
#elif defined(__SANITIZE_THREAD__)
  return "thread";
#else
  return "none";
#endif
}

std::string three_numbers(int major, int minor, int patch) { return fmt::format("{}.{}.{}", major, minor, patch); }

std::string kernel() {
  utsname system{};
  return uname(&system) == 0 ? fmt::format("{} {} {}", system.sysname, system.release, system.machine) : "unknown";
}

}  // namespace

value examine_build() {
#ifdef NDEBUG
  const char* kind = "release";
#else
  const char* kind = "with assertions";
#endif
  return value::table{
      {"version", LENSKIT_PARALLEL_VERSION_STRING},
      {"compiler", compiler()},
      {"standard", static_cast<std::int64_t>(__cplusplus)},
      {"build", kind},
      {"sanitizers", sanitizers()},
      {"boost", three_numbers(BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000, BOOST_VERSION % 100)},
      {"fmt", three_numbers(FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100)},
      {"spdlog", three_numbers(SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH)},
      {"system", kernel()},
  };
}

}  // namespace lenskit::doctor
