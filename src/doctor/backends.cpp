#include <lenskit/detail/os/backend_threads.hpp>
#include <lenskit/error.hpp>
#include <lenskit/run_sp.hpp>

#include <fmt/format.h>

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <string>
#include <vector>

#include "sections.hpp"

namespace lenskit::doctor {
namespace {

using detail::backend_report;
using detail::loaded_backends;

using namespace std::chrono_literals;

// What programs usually link. The doctor itself links none of them, so it has them loaded to have a look.
constexpr const char* usual_backends[] = {"libopenblas.so.0", "libmkl_rt.so.2", "libblis.so.4", "libflexiblas.so.3",
                                          "libgomp.so.1",     "libomp.so.5",    "libiomp5.so"};

value shown(const backend_report& backend) {
  value whole(value::table{{"kind", detail::name(backend.kind)},
                           {"path", backend.path},
                           {"version", backend.version.empty() ? value() : value(backend.version)},
                           {"threads", backend.threads}});
  return std::move(whole).shown_as(fmt::format("{} {} with {} threads: {}", detail::name(backend.kind), backend.version,
                                               backend.threads, backend.path));
}

// All but those that are also in `known`.
value all_shown(const std::vector<backend_report>& backends, const std::vector<backend_report>& known = {}) {
  value::list all;
  for (const auto& each : backends) {
    const bool is_known =
        std::any_of(known.begin(), known.end(), [&](const backend_report& other) { return other.path == each.path; });
    if (!is_known) all.push_back(shown(each));
  }
  return all;
}

}  // namespace

value examine_backends(findings& found) {
  constexpr auto patience = 5s;
  const auto loaded = loaded_backends();
  const auto openmp = std::count_if(loaded.begin(), loaded.end(), [](const backend_report& backend) {
    return backend.kind == detail::backend_kind::openmp;
  });
  if (openmp > 1) found.warnings.push_back({"several OpenMP runtimes are loaded, each with threads of its own"});
  value::table backends{{"loaded", all_shown(loaded)}};
  // In a process of their own, because a library may do anything while it is loaded: start threads, wait for memory
  // that it does not get, or crash (O3).
  try {
    run_sp_options limits;
    limits.timeout = patience;
    const auto usual = run_sp(limits, [] {
      for (const char* name : usual_backends) (void)dlopen(name, RTLD_LAZY | RTLD_LOCAL);
      return detail::backends_found_anew();
    });
    backends.emplace_back("installed", all_shown(usual, loaded));
  } catch (const std::exception& error) {
    backends.emplace_back("installed", value());
    found.warnings.push_back({fmt::format("BLAS and OpenMP cannot be looked at: {}", error.what()),
                              "more memory (ulimit -v), or fewer threads for them (OPENBLAS_NUM_THREADS=1)"});
  }
  return backends;
}

}  // namespace lenskit::doctor
