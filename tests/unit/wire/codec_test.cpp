#include <lenskit/detail/wire/codec.hpp>
#include <lenskit/error.hpp>

#include <support/catch.hpp>

#include <array>
#include <bitset>
#include <chrono>
#include <cmath>
#include <complex>
#include <deque>
#include <filesystem>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "trip.hpp"

using lenskit::tests::encoded;
using lenskit::tests::trip;
namespace detail = lenskit::detail;

namespace {

enum class color : short { red = -3, green = 7 };

struct point {
  int x;
  double y;
  bool operator==(const point&) const = default;
};

struct user_profile {
  std::string name;
  std::vector<point> places;
  std::map<std::string, std::vector<int>> ratings;
  std::optional<std::string> mail;
  std::variant<std::monostate, int, std::string> tag;
  std::array<std::string, 2> keys;
  bool operator==(const user_profile&) const = default;
};

struct with_c_arrays {
  char code[4];
  std::string names[2];
  int grid[2][3];
};

struct tree {
  int value;
  std::vector<tree> children;
  std::unique_ptr<tree> next;
};

struct no_default {
  explicit no_default(int number) : value(number) {}
  int value;
};

struct holds_no_default {
  std::string name;
  no_default first;
  const int fixed;
};

struct flags {
  unsigned low : 3;
  unsigned high : 29;
};

struct tagged {
  int kind;
  union {
    int i;
    float f;
  };
};

struct nothing {};

struct noisy_nothing {
  ~noisy_nothing() {}
};

// 40 fields: more than the library binds itself.
struct wide {
  std::string a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, b0, b1, b2, b3, b4, b5, b6, b7, b8, b9;
  int c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, d0, d1, d2, d3, d4, d5, d6, d7, d8, d9;
};

user_profile some_profile() {
  return {"ada", {{1, 2.5}, {3, -0.0}}, {{"films", {1, 2}}, {"", {}}}, "ada@example.org", "tag", {"k", std::string()}};
}

}  // namespace

TEST_CASE("numbers, bools, enums and characters arrive as they were", "[wire]") {
  CHECK(trip(-42) == -42);
  CHECK(trip(std::numeric_limits<std::uint64_t>::max()) == std::numeric_limits<std::uint64_t>::max());
  CHECK(trip(std::numeric_limits<long double>::denorm_min()) == std::numeric_limits<long double>::denorm_min());
  CHECK(std::isnan(trip(std::numeric_limits<float>::quiet_NaN())));
  CHECK(trip(true));
  CHECK_FALSE(trip(false));
  CHECK(trip(color::red) == color::red);
  CHECK(trip(U'\x1f600') == U'\x1f600');
  CHECK(trip(std::byte{0xab}) == std::byte{0xab});
}

TEST_CASE("strings of every width arrive with their zeros", "[wire]") {
  CHECK(trip(std::string()).empty());
  CHECK(trip(std::string("a\0b", 3)) == std::string("a\0b", 3));
  CHECK(trip(std::string(100000, 'x')) == std::string(100000, 'x'));
  CHECK(trip(std::wstring(L"w\u00e4rm")) == L"w\u00e4rm");
  CHECK(trip(std::u16string(u"\u00e4")) == u"\u00e4");
  CHECK(trip(std::filesystem::path("/tmp/a b")) == "/tmp/a b");
}

TEST_CASE("sequences arrive in order", "[wire]") {
  CHECK(trip(std::vector<int>{1, 2, 3}) == std::vector{1, 2, 3});
  CHECK(trip(std::vector<int>()).empty());
  CHECK(trip(std::vector<std::string>{"a", "", "c"}) == std::vector<std::string>{"a", "", "c"});
  CHECK(trip(std::vector<std::vector<double>>{{1}, {}, {2, 3}}) == std::vector<std::vector<double>>{{1}, {}, {2, 3}});
  CHECK(trip(std::deque<std::string>{"a", "b"}) == std::deque<std::string>{"a", "b"});
  CHECK(trip(std::list<int>{3, 1, 2}) == std::list<int>{3, 1, 2});
  CHECK(trip(std::array<int, 3>{1, 2, 3}) == std::array<int, 3>{1, 2, 3});
  CHECK(trip(std::array<std::string, 2>{"x", "y"}) == std::array<std::string, 2>{"x", "y"});
}

TEST_CASE("a vector of bools takes a bit each", "[wire]") {
  for (std::size_t size : {0u, 1u, 7u, 8u, 9u, 1000u}) {
    std::vector<bool> bits(size);
    for (std::size_t i = 0; i < size; ++i) bits[i] = i % 3 == 0;
    CHECK(trip(bits) == bits);
    CHECK(encoded(bits).size() == 8 + (size + 7) / 8);
  }
}

TEST_CASE("sets and maps arrive whole, with equal keys where they may be", "[wire]") {
  CHECK(trip(std::map<std::string, int>{{"a", 1}, {"b", 2}}) == std::map<std::string, int>{{"a", 1}, {"b", 2}});
  CHECK(trip(std::multimap<int, std::string>{{1, "a"}, {1, "b"}}) ==
        std::multimap<int, std::string>{{1, "a"}, {1, "b"}});
  CHECK(trip(std::unordered_map<int, std::string>{{1, "a"}, {2, "b"}}) ==
        std::unordered_map<int, std::string>{{1, "a"}, {2, "b"}});
  CHECK(trip(std::set<std::string>{"b", "a"}) == std::set<std::string>{"a", "b"});
  CHECK(trip(std::multiset<int>{1, 1, 2}) == std::multiset<int>{1, 1, 2});
  CHECK(trip(std::unordered_set<std::string>{"b", "a"}) == std::unordered_set<std::string>{"a", "b"});
  CHECK(trip(std::set<int, std::greater<>>{1, 2, 3}) == std::set<int, std::greater<>>{1, 2, 3});
}

TEST_CASE("pairs, tuples, optionals and variants arrive as they were", "[wire]") {
  CHECK(trip(std::pair(1, 2.f)) == std::pair(1, 2.f));
  CHECK(trip(std::pair(std::string("a"), 2)) == std::pair(std::string("a"), 2));
  CHECK(trip(std::tuple(1, std::string("b"), std::vector{1})) == std::tuple(1, std::string("b"), std::vector{1}));
  CHECK(trip(std::tuple<>()) == std::tuple<>());
  CHECK(trip(std::optional<int>()) == std::nullopt);
  CHECK(trip(std::optional<std::optional<int>>(std::optional<int>())).value() == std::nullopt);
  using either = std::variant<int, std::string, std::vector<double>>;
  for (const either& each : {either(1), either("two"), either(std::vector{3.0})}) CHECK(trip(each) == each);
  CHECK(trip(std::monostate()) == std::monostate());
}

TEST_CASE("time, complex numbers and bit sets arrive as they were", "[wire]") {
  using namespace std::chrono_literals;
  CHECK(trip(1500ms) == 1500ms);
  const auto now = std::chrono::system_clock::now();
  CHECK(trip(now) == now);
  CHECK(trip(std::complex<double>(1, -2)) == std::complex<double>(1, -2));
  CHECK(trip(std::bitset<70>(0x1234)) == std::bitset<70>(0x1234));
}

TEST_CASE("plain aggregates need no code of their users", "[wire]") {
  CHECK(trip(point{1, 2.5}) == point{1, 2.5});
  CHECK(trip(some_profile()) == some_profile());
  const std::vector<user_profile> many(3, some_profile());
  CHECK(trip(many) == many);
  (void)trip(nothing());
  CHECK(trip(std::vector<noisy_nothing>(5)).size() == 5);
}

TEST_CASE("C arrays inside aggregates arrive element by element", "[wire]") {
  const with_c_arrays arrived = trip(with_c_arrays{{'a', 'b', 'c', 0}, {"x", "y"}, {{1, 2, 3}, {4, 5, 6}}});
  CHECK(arrived.code == std::string("abc"));
  CHECK(arrived.names[1] == "y");
  CHECK(arrived.grid[1][2] == 6);
}

TEST_CASE("aggregates may hold themselves through containers and pointers", "[wire]") {
  tree root{1, {}, std::make_unique<tree>(tree{9, {}, nullptr})};
  root.children.push_back({2, {}, nullptr});
  root.children[0].children.push_back({3, {}, nullptr});
  const auto arrived = trip(root);
  CHECK(arrived.children.at(0).children.at(0).value == 3);
  CHECK(arrived.next->value == 9);
}

TEST_CASE("bit-fields, unions, constants and members without a default are no obstacle", "[wire]") {
  CHECK(trip(flags{5, 1000}).high == 1000);
  tagged one{1, {}};
  one.f = 2.5f;
  CHECK(trip(one).f == 2.5f);
  const holds_no_default arrived = trip(holds_no_default{"n", no_default(4), 5});
  CHECK(arrived.first.value == 4);
  CHECK(arrived.fixed == 5);
  CHECK(trip(std::vector<no_default>(3, no_default(8))).at(2).value == 8);
}

TEST_CASE("an aggregate of 40 fields arrives", "[wire]") {
  wide value{};
  value.b9 = "last text";
  value.d9 = 99;
  const auto arrived = trip(value);
  CHECK(arrived.b9 == "last text");
  CHECK(arrived.d9 == 99);
}

TEST_CASE("values that can only be moved travel too", "[wire]") {
  CHECK(*trip(std::make_unique<int>(3)) == 3);
  CHECK(trip(std::unique_ptr<std::string>()) == nullptr);
  CHECK(*trip(std::make_unique<const std::string>("c")) == "c");
  std::vector<std::unique_ptr<std::string>> many;
  many.push_back(std::make_unique<std::string>("a"));
  many.push_back(nullptr);
  const auto arrived = trip(many);
  CHECK(*arrived.at(0) == "a");
  CHECK(arrived.at(1) == nullptr);
  CHECK(**trip(std::optional(std::make_unique<int>(5))) == 5);
  CHECK(*std::get<0>(trip(std::tuple(std::make_unique<int>(6), 1))) == 6);
  CHECK(*trip(std::map<int, std::unique_ptr<int>>([] {
           std::map<int, std::unique_ptr<int>> map;
           map[1] = std::make_unique<int>(7);
           return map;
         }()))
             .at(1) == 7);
}

TEST_CASE("shared owners share again on arrival, and keep their constness", "[wire]") {
  const auto shared = std::make_shared<std::vector<int>>(3, 1);
  const auto [first, second] = trip(std::pair(shared, shared));
  CHECK(first == second);
  CHECK(*first == std::vector{1, 1, 1});
  CHECK(first != shared);
  const auto other = trip(std::pair(std::make_shared<const int>(1), std::make_shared<const int>(1)));
  CHECK(other.first != other.second);
  CHECK(trip(std::shared_ptr<int>()) == nullptr);
}

TEST_CASE("a vector of pairs of numbers is one copy of its bytes", "[wire]") {
  const std::vector<std::pair<int, float>> pairs(100, {1, 2.f});
  CHECK(encoded(pairs).size() == 8 + 100 * sizeof(pairs[0]));
  CHECK(trip(pairs) == pairs);
  CHECK(detail::wire_bitwise<std::tuple<int, std::array<float, 3>, color>>);
  CHECK_FALSE(detail::wire_bitwise<std::pair<int, std::string>>);
  CHECK_FALSE(detail::wire_bitwise<std::optional<int>>);
}

TEST_CASE("a chain of 5,000 links is an error and no stack overflow", "[wire]") {
  auto head = std::make_unique<tree>();
  auto* last = head.get();
  for (int i = 0; i < 5000; ++i) last = (last->next = std::make_unique<tree>()).get();
  CHECK_THROWS_AS(encoded(head), lenskit::serialization_error);
}

TEST_CASE("a variant that lost its value cannot be sent", "[wire]") {
  std::variant<int, std::deque<int>> lost;
  CHECK_THROWS_AS(lost.emplace<std::deque<int>>(SIZE_MAX), std::length_error);
  REQUIRE(lost.valueless_by_exception());
  CHECK_THROWS_AS(encoded(lost), lenskit::serialization_error);
}
