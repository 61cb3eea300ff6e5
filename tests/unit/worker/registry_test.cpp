#include <lenskit/detail/worker/registry.hpp>

#include <support/catch.hpp>

#include <optional>

namespace {

using namespace lenskit::detail;

void one_function() {}
void other_function() {}

}  // namespace

TEST_CASE("code has a number of its own, under which it is found as what it is, and as nothing else") {
  const registered_code body(code_kind::body, &one_function);
  const registered_code place(code_kind::place, &other_function);
  CHECK(body.id() != 0);
  CHECK(body.id() != place.id());
  CHECK(find_code(code_kind::body, body.id()) == &one_function);
  CHECK(find_code(code_kind::place, place.id()) == &other_function);
  CHECK(find_code(code_kind::place, body.id()) == nullptr);
  CHECK(find_code(code_kind::body, place.id()) == nullptr);
}

TEST_CASE("the same code registered twice has two numbers, as two plugins may hold it") {
  const registered_code first(code_kind::body, &one_function);
  const registered_code second(code_kind::body, &one_function);
  CHECK(first.id() != second.id());
  CHECK(find_code(code_kind::body, first.id()) == find_code(code_kind::body, second.id()));
}

TEST_CASE("a number is never given twice, also when the code of a plugin makes room for that of another") {
  std::optional<registered_code> plugin(std::in_place, code_kind::body, &one_function);
  const auto unloaded = plugin->id();
  plugin.reset();
  const registered_code next(code_kind::body, &other_function);
  CHECK(next.id() > unloaded);
  CHECK(find_code(code_kind::body, unloaded) == nullptr);
  CHECK(find_code(code_kind::body, next.id()) == &other_function);
}

TEST_CASE("no code has the number 0, or one that was not given yet") {
  const registered_code newest(code_kind::body, &one_function);
  CHECK(find_code(code_kind::body, 0) == nullptr);
  CHECK(find_code(code_kind::body, newest.id() + 1) == nullptr);
}
