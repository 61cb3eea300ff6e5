// What is wrong is said by the compiler, which tests/compile_fail looks at; here is what it is taken for.
#include <lenskit/detail/dispatch/call_check.hpp>

#include <support/catch.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace d = lenskit::detail;
using d::mistake;

struct model {
  int weight = 2;
  [[nodiscard]] int score(int user) const { return weight * user; }
  int learn(int user) { return weight += user; }
};
using numbers = std::vector<int>;
using words = std::vector<std::string>;

template <class Fn, class... Rs>
constexpr mistake of(const Fn&) {
  return d::find_mistake<model, Fn, Rs...>();
}

}  // namespace

TEST_CASE("a call that can be made has no mistake") {
  constexpr auto by_value = [](const model& m, int user) { return m.weight + user; };
  constexpr auto of_two = [](const model&, int, std::string word) { return word; };
  constexpr auto with_lvalues = [](const model&, std::string& word) { word += '!'; };
  STATIC_REQUIRE(of<decltype(by_value), numbers>(by_value) == mistake::none);
  STATIC_REQUIRE(of<decltype(by_value), const numbers&>(by_value) == mistake::none);
  STATIC_REQUIRE(of<decltype(of_two), numbers, words>(of_two) == mistake::none);
  STATIC_REQUIRE(of<decltype(with_lvalues), words>(with_lvalues) == mistake::none);
  STATIC_REQUIRE(of<decltype(&model::score), numbers>(&model::score) == mistake::none);
  STATIC_REQUIRE(d::is_right_call<model, decltype(by_value), numbers>());
  STATIC_REQUIRE(d::is_right_call<model, decltype(with_lvalues), words>());
}

TEST_CASE("a call without ranges, or with what is none, is told from one with wrong parameters") {
  constexpr auto fn = [](const model&, int) { return 0; };
  STATIC_REQUIRE(of<decltype(fn)>(fn) == mistake::no_range);
  STATIC_REQUIRE(of<decltype(fn), int>(fn) == mistake::no_range);
  STATIC_REQUIRE(of<decltype(fn), numbers, int>(fn) == mistake::no_range);
  STATIC_REQUIRE(of<decltype(fn), words>(fn) == mistake::arguments);
  STATIC_REQUIRE(of<decltype(fn), numbers, numbers>(fn) == mistake::arguments);
}

TEST_CASE("a function that wants to change the model, or does not take it, is told as such") {
  constexpr auto changes = [](model&, int) { return 0; };
  constexpr auto without = [](int) { return 0; };
  STATIC_REQUIRE(of<decltype(changes), numbers>(changes) == mistake::mutable_model);
  STATIC_REQUIRE(of<decltype(&model::learn), numbers>(&model::learn) == mistake::mutable_model);
  STATIC_REQUIRE(of<decltype(without), numbers>(without) == mistake::missing_model);
}

TEST_CASE("what returns a value, or nothing, returns what arrives") {
  STATIC_REQUIRE(d::returns_value<void>());
  STATIC_REQUIRE(d::returns_value<int>());
  STATIC_REQUIRE(d::returns_value<const std::string>());
  STATIC_REQUIRE(d::returns_value<std::vector<std::string>>());
  STATIC_REQUIRE(d::returns_value<std::unique_ptr<int>>());
}
