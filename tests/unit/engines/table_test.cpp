#include <lenskit/detail/engines/table.hpp>

#include <support/catch.hpp>

#include <set>
#include <stdexcept>
#include <string>

namespace {

namespace d = lenskit::detail;
using lenskit::engine;

}  // namespace

TEST_CASE("each engine has one row, and each row a name of its own") {
  std::set<std::string> names;
  for (const auto& row : d::engine_table()) {
    CHECK(&d::row_of(row.which) == &row);
    CHECK(names.insert(std::string(row.name)).second);
    CHECK(row.start != nullptr);
  }
  CHECK(names.size() == d::engine_table().size());
  CHECK_THROWS_AS(d::row_of(engine::automatic), std::invalid_argument);
}

TEST_CASE("only an engine whose workers are processes can stop a task") {
  for (const auto& row : d::engine_table()) {
    INFO(row.name);
    if (row.stops_tasks) CHECK(row.isolates);
  }
  CHECK(d::row_of(engine::processes).stops_tasks);
  CHECK(d::row_of(engine::in_process).has_one_worker);
}

TEST_CASE("names of engines are listed as a sentence lists them") {
  CHECK(d::engine_names([](const d::engine_row&) { return false; }) == "none");
  CHECK(d::engine_names([](const d::engine_row& row) { return row.which == engine::threads; }) == "threads");
  const auto in_the_program = d::engine_names([](const d::engine_row& row) { return !row.isolates; });
  CHECK(in_the_program == "in_process and threads");
}
