#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>

#include <array>
#include <iterator>
#include <list>
#include <memory>
#include <numeric>
#include <ranges>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

using lenskit::invoker;
using lenskit::tests::on;

namespace {

std::vector<int> numbers(int count) {
  std::vector<int> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

auto plus_model() {
  return [](int model, int x) { return model + x; };
}

}  // namespace

TEST_CASE("results come in the order of the input") {
  ON_EVERY_ENGINE(engine);
  const int count = GENERATE(0, 1, 2, 3, 100, 1000);
  invoker inv(1000, plus_model(), on(engine, 3));
  int next = 1000;
  for (const int& result : inv.map(numbers(count))) REQUIRE(result == next++);
  CHECK(next == 1000 + count);
}

TEST_CASE("a hundred thousand tasks arrive complete and in order") {
  ON_EVERY_ENGINE(engine);
  constexpr int count = 100'000;
  invoker inv(7, plus_model(), on(engine));
  const auto results = inv.map(numbers(count)).collect();
  REQUIRE(results.size() == count);
  for (int i = 0; i < count; ++i) {
    if (results[static_cast<std::size_t>(i)] != i + 7) FAIL("result " << i << " is wrong");
  }
}

TEST_CASE("a range of results is a move-only input range with the result by reference") {
  using range = decltype(std::declval<invoker<int, int (*)(int, int)>&>().map(std::declval<std::vector<int>&>()));
  STATIC_REQUIRE(std::same_as<range, lenskit::map_range<int>>);
  STATIC_REQUIRE(std::ranges::input_range<range>);
  STATIC_REQUIRE(std::same_as<std::ranges::range_reference_t<range>, int&>);
  STATIC_REQUIRE(!std::copy_constructible<range>);
  STATIC_REQUIRE(std::movable<range>);
}

TEST_CASE("ranges are zipped and the shortest ends the call") {
  ON_EVERY_ENGINE(engine);
  invoker inv(
      10,
      [](int model, int a, const std::string& b, double c) {
        return std::to_string(model + a) + b + std::to_string(int(c));
      },
      on(engine));
  const std::vector<int> first{1, 2, 3, 4, 5};
  const std::list<std::string> second{"a", "b", "c"};
  const std::array<double, 4> third{7, 8, 9, 10};
  CHECK(inv.map(first, second, third).collect() == std::vector<std::string>{"11a7", "12b8", "13c9"});
  CHECK(inv.map(first, std::list<std::string>{}, third).collect().empty());
}

TEST_CASE("an lvalue range is referred to and an rvalue range is moved in") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, plus_model(), on(engine));

  std::istringstream text("1 2 3 4");
  auto words = std::ranges::istream_view<int>(text);
  CHECK(inv.map(words).collect() == std::vector{1, 2, 3, 4});

  auto owned = numbers(50);
  const auto* storage = owned.data();
  auto results = inv.map(std::move(owned));
  CHECK(owned.data() != storage);
  CHECK(results.collect() == numbers(50));
}

TEST_CASE("proxies of the input become the values they stand for") {
  ON_EVERY_ENGINE(engine);
  invoker inv(
      0, [](int, bool flag) { return flag ? 1 : 0; }, on(engine));
  CHECK(inv.map(std::vector<bool>{true, false, true}).collect() == std::vector{1, 0, 1});
}

TEST_CASE("views of the standard library are inputs") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, plus_model(), on(engine));
  auto odd = std::views::iota(0, 10) | std::views::filter([](int i) { return i % 2 == 1; });
  CHECK(inv.map(odd).collect() == std::vector{1, 3, 5, 7, 9});
  CHECK(inv.map(std::views::iota(0) | std::views::take(4)).collect() == std::vector{0, 1, 2, 3});
}

TEST_CASE("a function without a result gives std::monostate") {
  ON_EVERY_ENGINE(engine);
  invoker inv(
      0, [](int, int) {}, on(engine));
  auto results = inv.map(numbers(5));
  STATIC_REQUIRE(std::same_as<decltype(results), lenskit::map_range<std::monostate>>);
  CHECK(results.collect().size() == 5);
}

TEST_CASE("arguments and results may be move-only") {
  ON_EVERY_ENGINE(engine);
  invoker inv(
      2,
      [](int model, std::unique_ptr<int> x) {
        *x *= model;
        return x;
      },
      on(engine));
  std::vector<std::unique_ptr<int>> inputs;
  for (int i = 0; i < 20; ++i) inputs.push_back(std::make_unique<int>(i));
  int next = 0;
  for (auto& result : inv.map(inputs)) {
    const std::unique_ptr<int> taken = std::move(result);
    CHECK(*taken == 2 * next++);
  }
  CHECK(next == 20);
}

TEST_CASE("a reference to a result is const or not, and the result can be changed") {
  ON_EVERY_ENGINE(engine);
  invoker inv(
      0, [](int, int x) -> const std::string { return std::string(static_cast<std::size_t>(x), 'x'); }, on(engine));
  for (std::string& result : inv.map(numbers(5))) result += "y";
}

TEST_CASE("the temporary invoker may die before its results are read") {
  ON_EVERY_ENGINE(engine);
  CHECK(invoker(5, plus_model(), on(engine)).map(numbers(100)).collect().at(99) == 104);
  auto results = invoker(5, plus_model(), on(engine)).map(numbers(3));
  CHECK(results.collect() == std::vector{5, 6, 7});
}

TEST_CASE("the model may be an lvalue, a temporary or persisted") {
  ON_EVERY_ENGINE(engine);
  const auto at = [](const std::vector<int>& model, std::size_t i) { return model[i]; };
  const std::vector<std::size_t> inputs{2, 0, 1};
  const std::vector expected{30, 10, 20};

  std::vector model{10, 20, 30};
  CHECK(invoker(model, at, on(engine)).map(inputs).collect() == expected);
  CHECK(invoker(std::vector{10, 20, 30}, at, on(engine)).map(inputs).collect() == expected);
  auto stored = lenskit::persist(model);
  CHECK(invoker(stored, at, on(engine)).map(inputs).collect() == expected);
  CHECK(stored.get() == model);
  CHECK(invoker(stored, at, on(engine)).map(inputs).collect() == expected);
}

TEST_CASE("a model without workers is not copied") {
  struct uncopied {
    explicit uncopied(int v) : value(v) {}
    uncopied(const uncopied&) = delete;
    uncopied& operator=(const uncopied&) = delete;
    int value;
  };
  const auto engine = GENERATE(lenskit::engine::in_process, lenskit::engine::threads);
  const uncopied model(3);
  invoker inv(
      model, [&model](const uncopied& seen, int x) { return &seen == &model ? seen.value * x : -1; }, on(engine));
  CHECK(inv.map(numbers(3)).collect() == std::vector{0, 3, 6});
}

TEST_CASE("collect takes what is left") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, plus_model(), on(engine));
  auto results = inv.map(numbers(10));
  auto at = results.begin();
  ++at;
  ++at;
  CHECK(*at == 2);
  auto moved = std::move(results);
  CHECK(moved.collect() == std::vector{2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(moved.collect().empty());
}

TEST_CASE("large arguments and results go both ways") {
  ON_EVERY_ENGINE(engine);
  constexpr std::size_t size = std::size_t{8} << 20;
  invoker inv(
      0,
      [](int, std::string text) {
        text.front() = static_cast<char>(text.front() + 1);
        return text;
      },
      on(engine));
  std::vector<std::string> inputs;
  for (const char c : {'a', 'f', 'm', 'x'}) inputs.emplace_back(size, c);
  char first = 0;
  std::size_t count = 0;
  for (auto& result : inv.map(inputs)) {
    REQUIRE(result.size() == size);
    first = static_cast<char>(inputs[count].front() + 1);
    CHECK(result.front() == first);
    CHECK(result.compare(1, size - 1, inputs[count], 1, size - 1) == 0);
    ++count;
  }
  CHECK(count == 4);
}
