#include <lenskit/detail/os/backend_threads.hpp>

#include <fmt/format.h>

#include <dlfcn.h>

#include <algorithm>
#include <string>
#include <vector>

#include "sections.hpp"

namespace lenskit::doctor {
namespace {

using detail::backend_report;
using detail::loaded_backends;

// What programs usually link. The doctor itself links none of them, so it loads them to have a look.
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

}  // namespace

value examine_backends(findings& found) {
  const auto loaded = loaded_backends();
  const auto openmp = std::count_if(loaded.begin(), loaded.end(), [](const backend_report& backend) {
    return backend.kind == detail::backend_kind::openmp;
  });
  if (openmp > 1) found.warnings.push_back("several OpenMP runtimes are loaded, each with threads of its own");

  for (const char* name : usual_backends) (void)dlopen(name, RTLD_LAZY | RTLD_LOCAL);
  value::list before;
  value::list installed;
  for (const auto& backend : loaded_backends()) {
    const bool was_loaded = std::any_of(loaded.begin(), loaded.end(),
                                        [&](const backend_report& other) { return other.path == backend.path; });
    (was_loaded ? before : installed).push_back(shown(backend));
  }
  return value::table{{"loaded", std::move(before)}, {"installed", std::move(installed)}};
}

}  // namespace lenskit::doctor
