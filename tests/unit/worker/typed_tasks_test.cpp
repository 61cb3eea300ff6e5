#include <lenskit/detail/worker/typed_tasks.hpp>
#include <lenskit/error.hpp>

#include <support/catch.hpp>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace {

namespace d = lenskit::detail;

template <class... Args>
std::tuple<Args...> sent(d::writer& out) {
  d::reader in(out.data(), out.size());
  auto arguments = d::decode_arguments<Args...>(in);
  CHECK(in.left() == 0);
  return arguments;
}

}  // namespace

TEST_CASE("arguments that are their bytes have no length in front, others have one for all of a task") {
  CHECK(d::record_bytes<int, double> == sizeof(int) + sizeof(double));
  CHECK(d::record_bytes<int, std::string> == 0);
  CHECK(d::record_bytes<> == 0);
  CHECK(d::result_bytes<float> == sizeof(float));
  CHECK(d::result_bytes<std::vector<int>> == 0);
  d::writer out;
  d::encode_arguments(out, 7, 0.5);
  CHECK(out.size() == d::record_bytes<int, double>);
  CHECK(sent<int, double>(out) == std::tuple(7, 0.5));
  out.clear();
  d::encode_arguments(out, 7, std::string("text"));
  CHECK(sent<int, std::string>(out) == std::tuple(7, std::string("text")));
}

TEST_CASE("arguments that cannot be read leave those of the next task where they are") {
  d::writer out;
  out.put(std::uint64_t{2});
  out.put("\xff\xff", 2);
  d::encode_arguments(out, std::string("next"));
  d::reader in(out.data(), out.size());
  CHECK_THROWS_AS(d::decode_arguments<std::string>(in), lenskit::serialization_error);
  CHECK(d::decode_arguments<std::string>(in) == std::tuple(std::string("next")));
}

TEST_CASE("a function is called with arguments to keep, or to change if it takes them only so") {
  std::tuple<std::string> arguments("text");
  auto reading = [](const std::string& text) { return text.size(); };
  CHECK(d::call_with(reading, arguments) == 4);
  auto changing = [](std::string& text) { return text += "!"; };
  CHECK(d::call_with(changing, arguments) == "text!");
  auto keeping = [](std::string text) { return text; };
  CHECK(d::call_with(keeping, arguments) == "text!");
  CHECK(std::get<0>(arguments).empty());
}

TEST_CASE("a function that returns nothing has a value all the same") {
  int calls = 0;
  CHECK(d::value_of([&] { ++calls; }) == std::monostate());
  CHECK(calls == 1);
  CHECK(d::value_of([] { return 3; }) == 3);
  STATIC_REQUIRE(std::is_same_v<d::value_of_result<const int&>, int>);
  STATIC_REQUIRE(std::is_same_v<d::value_of_result<void>, std::monostate>);
}

TEST_CASE("a model that is an array is kept as a std::array and seen as it was given") {
  const int model[2][3] = {{1, 2, 3}, {4, 5, 6}};
  STATIC_REQUIRE(std::is_same_v<d::kept_as<int[2][3]>, std::array<std::array<int, 3>, 2>>);
  auto kept = std::make_shared<const d::kept_as<int[2][3]>>(d::as_kept(model));
  auto nothing = [] {};
  const d::typed_workplace<int[2][3], decltype(nothing)> place(kept, nothing);
  CHECK(place.model()[1][2] == 6);
  CHECK(static_cast<const void*>(&place.model()) == kept.get());
}

TEST_CASE("the workplace of another thread has the same model and its own function") {
  struct counting {
    int calls = 0;
    int operator()(const int&) { return ++calls; }
  };
  const auto model = std::make_shared<const int>(5);
  d::typed_workplace<int, counting> place(model, {});
  CHECK(place.fn()(*model) == 1);
  const auto copy = place.clone();
  auto& other = dynamic_cast<d::typed_workplace<int, counting>&>(*copy);
  CHECK(&other.model() == &place.model());
  CHECK(other.fn()(*model) == 2);
  CHECK(other.fn()(*model) == 3);
  CHECK(place.fn()(*model) == 2);
}

TEST_CASE("a function that cannot be copied has no workplace for another thread") {
  auto once = [held = std::make_unique<int>(1)](const int&) { return *held; };
  const d::typed_workplace<int, decltype(once)> place(std::make_shared<const int>(5), std::move(once));
  CHECK_THROWS_AS(place.clone(), std::invalid_argument);
}
