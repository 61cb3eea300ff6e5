#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/message_of.hpp>

#include <map>
#include <optional>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

using lenskit::invoker;
using lenskit::serialization_error;
using lenskit::task_error;
using lenskit::tests::on;

namespace {

// Cannot be stored, or not loaded, if its number says so.
struct fragile {
  static constexpr int unstorable = 7;
  static constexpr int unloadable = 9;
  int number = 0;
  std::string text{};

  template <class Archive>
  void save(Archive& ar, unsigned) const {
    const std::string half(1000, 'x');  // something is written before it is noticed
    ar << number << half;
    if (number == unstorable) throw std::invalid_argument("seven cannot be stored");
    ar << text;
  }
  template <class Archive>
  void load(Archive& ar, unsigned) {
    std::string half;
    ar >> number >> half;
    if (number == unloadable) throw std::out_of_range("nine cannot be loaded");
    ar >> text;
  }
  template <class Archive>
  void serialize(Archive& ar, unsigned version) {
    boost::serialization::split_member(ar, *this, version);
  }
};

struct recommendation {
  int item = 0;
  float score = 0;
  bool operator==(const recommendation&) const = default;
};

struct profile {
  std::string name;
  std::map<int, std::vector<recommendation>> lists;
  std::optional<std::variant<int, std::string>> tag;
  bool operator==(const profile&) const = default;
};

}  // namespace

TEST_CASE("values of many types go to the tasks and come back as they were") {
  ON_EVERY_ENGINE(engine);
  using everything =
      std::tuple<std::pair<int, std::string>, std::set<int>, std::unordered_map<std::string, double>, profile>;
  invoker inv(
      0, [](int, everything x) { return x; }, on(engine));
  std::vector<everything> inputs;
  for (int i = 0; i < 20; ++i) {
    const auto name = "name " + std::to_string(i);
    inputs.emplace_back(std::pair(i, name), std::set{i, i + 1}, std::unordered_map<std::string, double>{{name, i}},
                        profile{name, {{i, {{i, 0.5F}, {i + 1, 0.25F}}}}, {name}});
  }
  CHECK(inv.map(inputs).collect() == inputs);
}

TEST_CASE("a result that cannot be stored costs its own task only") {
  ON_EVERY_ENGINE(engine);
  const std::size_t chunk = GENERATE(0U, 1U, 20U);
  auto options = on(engine);
  options.chunk_size = chunk;
  invoker inv(
      0,
      [](int, int x) {
        return fragile{x == 5 ? fragile::unstorable : 1, std::to_string(x)};
      },
      options);
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 20))) {
    INFO("index " << index);
    REQUIRE(each.has_value() == (index != 5));
    if (each.has_value()) {
      CHECK(each->text == std::to_string(index));
    } else {
      CHECK_THROWS_AS(each.value(), serialization_error);
      CHECK(lenskit::tests::mentions(lenskit::tests::message_of([&] { each.value(); }), {"seven cannot be stored"}));
      try {
        each.value();
      } catch (const task_error& where) {
        CHECK(where.index() == 5);
      }
    }
    ++index;
  }
  CHECK(index == 20);
}

TEST_CASE("a result that cannot be loaded costs its own task only") {
  ON_EVERY_ENGINE(engine);
  const std::size_t chunk = GENERATE(0U, 1U, 20U);
  auto options = on(engine);
  options.chunk_size = chunk;
  invoker inv(
      0,
      [](int, int x) {
        return fragile{x == 5 ? fragile::unloadable : 1, std::to_string(x)};
      },
      options);
  int index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(0, 20))) {
    INFO("index " << index);
    REQUIRE(each.has_value() == (index != 5));
    if (each.has_value()) {
      CHECK(each->text == std::to_string(index));
    } else {
      CHECK(lenskit::tests::mentions(lenskit::tests::message_of([&] { each.value(); }), {"nine cannot be loaded"}));
    }
    ++index;
  }
  CHECK(index == 20);
}

TEST_CASE("an argument that cannot be stored costs its own task only") {
  ON_EVERY_ENGINE(engine);
  const std::size_t at = GENERATE(0U, 5U, 19U);
  const std::size_t chunk = GENERATE(0U, 1U, 20U);
  auto options = on(engine);
  options.chunk_size = chunk;
  invoker inv(
      0, [](int, const fragile& x) { return x.text; }, options);
  std::vector<fragile> inputs(20);
  for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i] = {i == at ? fragile::unstorable : 1, std::to_string(i)};
  std::size_t index = 0;
  for (const auto& each : inv.map_outcomes(inputs)) {
    INFO("index " << index);
    REQUIRE(each.has_value() == (index != at));
    if (each.has_value()) {
      CHECK(*each == std::to_string(index));
    } else {
      CHECK(lenskit::tests::mentions(lenskit::tests::message_of([&] { each.value(); }), {"seven cannot be stored"}));
    }
    ++index;
  }
  CHECK(index == 20);

  std::vector<int> seen(20);
  for (const auto& each : inv.as_completed(inputs)) ++seen.at(each.index);
  CHECK(seen == std::vector<int>(20, 1));
}

TEST_CASE("an argument that cannot be loaded costs its own task only") {
  ON_EVERY_ENGINE(engine);
  const std::size_t chunk = GENERATE(0U, 1U, 20U);
  auto options = on(engine);
  options.chunk_size = chunk;
  invoker inv(
      0, [](int, const fragile& x) { return x.text; }, options);
  std::vector<fragile> inputs(20);
  for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i] = {i == 5 ? fragile::unloadable : 1, std::to_string(i)};
  std::size_t index = 0;
  for (const auto& each : inv.map_outcomes(inputs)) {
    INFO("index " << index);
    REQUIRE(each.has_value() == (index != 5));
    if (each.has_value()) CHECK(*each == std::to_string(index));
    ++index;
  }
  CHECK(index == 20);
}
