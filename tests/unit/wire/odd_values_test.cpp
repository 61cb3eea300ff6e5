// Values that C++ allows and few programs send: each arrives as it was, or is refused.
#include <lenskit/detail/wire/codec.hpp>
#include <lenskit/error.hpp>

#include <boost/serialization/export.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/utility.hpp>
#include <boost/unordered_map.hpp>
#include <boost/unordered_set.hpp>
#include <boost/utility/string_view.hpp>

#include <support/catch.hpp>
#include <support/message_of.hpp>

#include <algorithm>
#include <array>
#include <complex>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <optional>
#include <ranges>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "trip.hpp"

using lenskit::detail::dangles;
using lenskit::detail::refusal;
using lenskit::detail::refusal_of;
using lenskit::tests::trip;

namespace odd_values_test {

__extension__ using wide_int = __int128;
__extension__ using wide_unsigned = unsigned __int128;
using four_floats = float __attribute__((vector_size(16)));

constexpr wide_int large = wide_int{1} << 100;

#define TEN_STRINGS(n) \
  std::string a##n##0, a##n##1, a##n##2, a##n##3, a##n##4, a##n##5, a##n##6, a##n##7, a##n##8, a##n##9
#define TEN_NUMBERS(n) int a##n##0, a##n##1, a##n##2, a##n##3, a##n##4, a##n##5, a##n##6, a##n##7, a##n##8, a##n##9
struct seventy {
  TEN_STRINGS(0);
  TEN_STRINGS(1);
  TEN_STRINGS(2);
  TEN_STRINGS(3);
  TEN_STRINGS(4);
  TEN_STRINGS(5);
  TEN_STRINGS(6);
};
struct hundred {
  TEN_STRINGS(0);
  TEN_STRINGS(1);
  TEN_STRINGS(2);
  TEN_STRINGS(3);
  TEN_STRINGS(4);
  TEN_STRINGS(5);
  TEN_STRINGS(6);
  TEN_STRINGS(7);
  TEN_STRINGS(8);
  TEN_STRINGS(9);
};
struct more_than_hundred {
  TEN_STRINGS(0);
  TEN_STRINGS(1);
  TEN_STRINGS(2);
  TEN_STRINGS(3);
  TEN_STRINGS(4);
  TEN_STRINGS(5);
  TEN_STRINGS(6);
  TEN_STRINGS(7);
  TEN_STRINGS(8);
  TEN_STRINGS(9);
  std::string last;
};
struct forty_and_pointer {
  TEN_NUMBERS(0);
  TEN_NUMBERS(1);
  TEN_NUMBERS(2);
  TEN_NUMBERS(3);
  const char* text;
};
#undef TEN_STRINGS
#undef TEN_NUMBERS

struct long_array {
  float values[1000] = {};
  std::string name;
};

struct constant {
  const int id = 0;
  const std::string name;
  bool operator==(const constant&) const = default;
};
struct holds_constants {
  std::pair<const int, std::string> key{0, ""};
  std::tuple<const std::string, int> other;
  constant whole;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& key& other& whole;
  }
};

struct by_direction {
  bool down = false;
  bool operator()(int a, int b) const { return down ? a > b : a < b; }
};
struct salted {
  std::size_t salt = 0;
  std::size_t operator()(int x) const { return static_cast<std::size_t>(x) ^ salt; }
};
bool descending(int a, int b) { return a > b; }

template <class T>
struct arena {
  using value_type = T;
  char* room = nullptr;
  arena() = default;
  template <class U>
  arena(const arena<U>& other) : room(other.room) {}  // NOLINT(google-explicit-constructor)
  T* allocate(std::size_t size) { return std::allocator<T>().allocate(size); }
  void deallocate(T* at, std::size_t size) { std::allocator<T>().deallocate(at, size); }
  bool operator==(const arena&) const = default;
};

// As gsl::span and its like.
template <class T>
class slice {
 public:
  slice() = default;
  slice(T* data, std::size_t size) : data_(data), size_(size) {}
  [[nodiscard]] T* begin() const { return data_; }
  [[nodiscard]] T* end() const { return data_ + size_; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};
class text_of {
 public:
  explicit text_of(const std::string& text) : begin_(text.data()), end_(begin_ + text.size()) {}
  [[nodiscard]] const char* begin() const { return begin_; }
  [[nodiscard]] const char* end() const { return end_; }

 private:
  const char* begin_;
  const char* end_;
};
class blob {
 public:
  blob(const void* data, std::size_t size) : data_(static_cast<const char*>(data)), size_(size) {}
  [[nodiscard]] const char* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  const char* data_;
  std::size_t size_;
};
template <class T>
class observer {
 public:
  explicit observer(T* at) : at_(at) {}
  T& operator*() const { return *at_; }
  T* operator->() const { return at_; }

 private:
  T* at_;
};

// Owners of the same size.
class vector3 {
 public:
  vector3() = default;
  explicit vector3(double x) : values_{x, x, x} {}
  [[nodiscard]] double* begin() { return values_.data(); }
  [[nodiscard]] double* end() { return values_.data() + 3; }
  [[nodiscard]] const double* begin() const { return values_.data(); }
  [[nodiscard]] const double* end() const { return values_.data() + 3; }
  bool operator==(const vector3&) const = default;

 private:
  std::array<double, 3> values_{};
};
class read_only3 {
 public:
  explicit read_only3(double x) : values_{x, x, x} {}
  [[nodiscard]] const double* begin() const { return values_.data(); }
  [[nodiscard]] const double* end() const { return values_.data() + 3; }

 private:
  std::array<double, 3> values_{};
};
class short_text {
 public:
  [[nodiscard]] const char* begin() const { return text_.data(); }
  [[nodiscard]] const char* end() const { return text_.data() + text_.size(); }

 private:
  std::array<char, 16> text_{};
};
class counted_text {
 public:
  counted_text(const char* text, std::size_t size) : size_(size) { std::copy_n(text, size, text_.data()); }
  [[nodiscard]] const char* begin() const { return text_.data(); }
  [[nodiscard]] const char* end() const { return text_.data() + size_; }

 private:
  std::size_t size_;
  std::array<char, 24> text_{};
};

struct animal {
  int legs = 4;
  animal() = default;
  animal(const animal&) = default;
  animal& operator=(const animal&) = default;
  virtual ~animal() = default;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& legs;
  }
};
struct bird : animal {
  int wings = 2;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& boost::serialization::base_object<animal>(*this) & wings;
  }
};
struct unknown_animal : animal {};

}  // namespace odd_values_test
BOOST_CLASS_EXPORT(odd_values_test::bird)

using namespace odd_values_test;

TEST_CASE("V2: 128-bit integers travel in every place", "[wire]") {
  CHECK(trip(large) == large);
  CHECK(trip(std::vector<wide_int>{large, -large}) == std::vector<wide_int>{large, -large});
  CHECK(trip(std::optional<wide_unsigned>(1)) == std::optional<wide_unsigned>(1));
  CHECK((trip(std::map<wide_int, std::string>{{large, "x"}}) == std::map<wide_int, std::string>{{large, "x"}}));
  CHECK((trip(std::variant<std::string, wide_int>(large)) == std::variant<std::string, wide_int>(large)));
  CHECK((trip(std::tuple<wide_int, std::string>(large, "x")) == std::tuple<wide_int, std::string>(large, "x")));
  CHECK((trip(std::pair<const wide_int, bool>(large, true)) == std::pair<const wide_int, bool>(large, true)));
  struct holder {
    wide_int number = 0;
    std::string name;
  };
  CHECK(trip(holder{large, "x"}).number == large);
}

TEST_CASE("V2: vector registers travel alone and in containers", "[wire]") {
  const four_floats numbers{1, 2, 3, 4};
  CHECK(trip(numbers)[2] == 3);
  struct holder {
    four_floats numbers{};
    std::string name;
  };
  CHECK(trip(std::vector<holder>{{numbers, "x"}}).at(0).numbers[3] == 4);
}

TEST_CASE("V2: aggregates of 70 and of 100 fields travel like small ones", "[wire]") {
  seventy narrow;
  narrow.a00 = "first";
  narrow.a69 = "last";
  CHECK(trip(narrow).a00 == "first");
  CHECK(trip(narrow).a69 == "last");
  hundred wide;
  wide.a99 = "last";
  CHECK(trip(wide).a99 == "last");
  STATIC_REQUIRE(refusal_of<more_than_hundred> == refusal::aggregate);
}

TEST_CASE("V2: a pointer among many fields is found", "[wire]") { STATIC_REQUIRE(dangles<forty_and_pointer>()); }

TEST_CASE("V2: an aggregate with a long array travels", "[wire]") {
  long_array sent;
  sent.values[999] = 7;
  sent.name = "long";
  const auto arrived = trip(sent);
  CHECK(arrived.values[999] == 7);
  CHECK(arrived.name == "long");
}

TEST_CASE("V2: const parts of pairs, tuples and aggregates are filled", "[wire]") {
  const std::pair<const int, std::string> entry(7, "seven");
  CHECK(trip(entry) == entry);
  const constant whole{7, "seven"};
  CHECK(trip(whole) == whole);
  CHECK(trip(std::vector<constant>{whole}) == std::vector<constant>{whole});
  CHECK(trip(std::optional<const std::string>("x")) == std::optional<const std::string>("x"));
  holds_constants archived{{1, "one"}, {"two", 2}, {3, "three"}};
  const auto arrived = trip(archived);
  CHECK(arrived.key == archived.key);
  CHECK(arrived.other == archived.other);
  CHECK(arrived.whole == archived.whole);
}

TEST_CASE("V2: the unordered containers of Boost travel without their serialization headers", "[wire]") {
  const boost::unordered_map<std::string, int> numbers{{"one", 1}, {"two", 2}};
  CHECK(trip(numbers) == numbers);
  const boost::unordered_set<int> keys{1, 2, 3};
  CHECK(trip(keys) == keys);
  const boost::unordered_multimap<int, holds_constants> archived{{1, {{1, "one"}, {"two", 2}, {3, "three"}}}};
  CHECK(trip(archived).begin()->second.key.second == "one");
}

TEST_CASE("V1: a comparator or hasher with state arrives with its set or map", "[wire]") {
  std::set<int, by_direction> down(by_direction{true});
  down.insert({1, 2, 3});
  const auto arrived = trip(down);
  CHECK(std::vector<int>(arrived.begin(), arrived.end()) == std::vector{3, 2, 1});
  CHECK(arrived.key_comp().down);
  std::map<int, std::string, by_direction> names(by_direction{true});
  names = {{1, "one"}, {2, "two"}};
  std::map<int, std::map<int, int, by_direction>> inner;
  inner.emplace(1, std::map<int, int, by_direction>(by_direction{true}));
  CHECK(trip(inner).at(1).key_comp().down);
  std::unordered_map<int, int, salted> hashed(8, salted{42});
  hashed[1] = 2;
  CHECK(trip(hashed).hash_function().salt == 42);
  CHECK(trip(hashed) == hashed);
}

TEST_CASE("V1: a comparator that cannot arrive as it was is refused as such", "[wire]") {
  STATIC_REQUIRE(refusal_of<std::set<int, bool (*)(int, int)>> == refusal::order);
  STATIC_REQUIRE(refusal_of<std::map<int, int, std::function<bool(int, int)>>> == refusal::order);
  STATIC_REQUIRE(refusal_of<std::vector<std::set<int, decltype(&descending)>>> == refusal::order);
  STATIC_REQUIRE(refusal_of<std::unordered_set<int, std::size_t (*)(int)>> == refusal::order);
  STATIC_REQUIRE(refusal_of<std::set<int, std::greater<>>> == refusal::none);
}

TEST_CASE("V1: an allocator with state is refused as such, a polymorphic one is not", "[wire]") {
  STATIC_REQUIRE(refusal_of<std::vector<int, arena<int>>> == refusal::allocator);
  STATIC_REQUIRE(refusal_of<std::map<int, int, std::less<>, arena<std::pair<const int, int>>>> == refusal::allocator);
  STATIC_REQUIRE(refusal_of<std::basic_string<char, std::char_traits<char>, arena<char>>> == refusal::allocator);
  const std::pmr::vector<std::pmr::string> texts{"one", "two"};
  CHECK(trip(texts) == texts);
}

TEST_CASE("V1: views and pointers of other libraries are known by their shape", "[wire]") {
  STATIC_REQUIRE(dangles<boost::string_view>());
  STATIC_REQUIRE(dangles<std::vector<boost::string_view>>());
  STATIC_REQUIRE(dangles<std::map<int, std::optional<slice<double>>>>());
  STATIC_REQUIRE(dangles<slice<const double>>());
  STATIC_REQUIRE(dangles<text_of>());
  STATIC_REQUIRE(dangles<blob>());
  STATIC_REQUIRE(dangles<observer<int>>());
  STATIC_REQUIRE(dangles<observer<const double>>());
  using lazy = decltype(std::declval<std::vector<int>&>() | std::views::transform([](int x) { return x + 1; }));
  STATIC_REQUIRE(dangles<lazy>());
}

TEST_CASE("V1: small owners are not taken for views", "[wire]") {
  STATIC_REQUIRE(!dangles<read_only3>());
  STATIC_REQUIRE(!dangles<short_text>());
  STATIC_REQUIRE(!dangles<counted_text>());
  STATIC_REQUIRE(!dangles<std::complex<double>>());
  CHECK(trip(vector3(7)) == vector3(7));
}

TEST_CASE("V1: an object that is given by its base is refused, not cut off", "[wire]") {
  const bird sent;
  const animal& by_base = sent;
  CHECK(lenskit::tests::message_of([&] { (void)trip<animal>(by_base); }).find("cut off") != std::string::npos);
  CHECK(trip(animal()).legs == 4);
  CHECK(trip(sent).wings == 2);
}

TEST_CASE("V1: exported classes keep their type in a container of owners, others are refused", "[wire]") {
  std::vector<std::shared_ptr<animal>> zoo{std::make_shared<bird>(), std::make_shared<animal>()};
  const auto arrived = trip(zoo);
  REQUIRE(dynamic_cast<bird*>(arrived.at(0).get()) != nullptr);
  CHECK(dynamic_cast<bird*>(arrived.at(1).get()) == nullptr);
  zoo.push_back(std::make_shared<unknown_animal>());
  CHECK_THROWS_AS(trip(zoo), lenskit::serialization_error);
}
