#include <lenskit/detail/engines/event_source.hpp>

#include <support/catch.hpp>

namespace {

namespace d = lenskit::detail;

}  // namespace

TEST_CASE("the key of a descriptor tells its kind and its worker") {
  const auto kind = GENERATE(d::event_source::stream, d::event_source::process, d::event_source::attendance);
  const int worker = GENERATE(0, 1, 4095);
  d::readiness ready{};
  ready.key = d::key_of(kind, worker);
  CHECK(d::kind_of(ready) == kind);
  CHECK(d::worker_of(ready) == worker);
}
