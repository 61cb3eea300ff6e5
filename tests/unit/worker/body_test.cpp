#include <lenskit/detail/worker/body.hpp>

#include <support/catch.hpp>

#include <optional>

namespace {

namespace d = lenskit::detail;

void first(d::workplace&, d::reader&, d::recorder&) {}
void second(d::workplace&, d::reader&, d::recorder&) {}

d::code_pointer pointer(d::task_body body) { return reinterpret_cast<d::code_pointer>(body); }

}  // namespace

TEST_CASE("a body is found by its number, and by no other") {
  const d::registered_code one(d::code_kind::body, pointer(&first));
  const d::registered_code other(d::code_kind::body, pointer(&second));
  CHECK(one.id() != other.id());
  CHECK(d::find_body(one.id()) == &first);
  CHECK(d::find_body(other.id()) == &second);
  CHECK(d::find_body(0) == nullptr);
  CHECK(d::find_body(other.id() + 1000) == nullptr);
}

TEST_CASE("the place of a body that is gone is used again, under another number") {
  std::optional<d::registered_code> gone(std::in_place, d::code_kind::body, pointer(&first));
  const auto id = gone->id();
  gone.reset();
  const d::registered_code next(d::code_kind::body, pointer(&second));
  CHECK(next.id() != id);
  CHECK(d::find_body(next.id()) == &second);
  CHECK(d::find_body(id) == nullptr);
}

TEST_CASE("a body that is registered for the whole program has one number wherever it is named") {
  constexpr auto& here = d::body_entry<&first>;
  CHECK(here.id() == d::body_entry<&first>.id());
  CHECK(here.id() != d::body_entry<&second>.id());
  CHECK(d::find_body(here.id()) == &first);
}
