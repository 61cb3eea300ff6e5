// Messages that are cut short or damaged (failure D5): whatever the bytes, decoding ends with a value or a
// serialization_error. Run under the sanitizers this also shows that nothing is read, written or leaked on the way.
#include <lenskit/detail/wire/codec.hpp>
#include <lenskit/error.hpp>

#include <boost/serialization/base_object.hpp>
#include <boost/serialization/export.hpp>

#include <support/catch.hpp>

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "trip.hpp"

using lenskit::tests::encoded;

namespace hostile_test {

struct animal {
  virtual ~animal() = default;
  int legs = 0;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& legs;
  }
};
struct toy {
  std::string name;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& name;
  }
};
struct cat : animal {
  std::string name;
  std::shared_ptr<toy> favourite;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& boost::serialization::base_object<animal>(*this) & name& favourite;
  }
};
struct cage {  // not an animal
  std::vector<double> bars;
  std::unique_ptr<cage> next;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& bars& next;
  }
};
struct child;
struct parent {
  std::vector<std::unique_ptr<child>> children;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& children;
  }
};
struct child {
  const parent* of = nullptr;
  std::string name;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& of& name;
  }
};
struct zoo {
  std::vector<std::unique_ptr<animal>> owned;
  std::vector<std::shared_ptr<animal>> shared;
  std::unique_ptr<cage> house;
};

struct record {
  std::string name;
  std::optional<int> age;
  std::variant<int, std::string, std::vector<bool>> what;
  std::map<std::string, std::list<double>> numbers;
  std::unordered_map<int, std::unique_ptr<std::string>> more;
  bool flag;
};

template <class T>
bool decodes(std::span<const std::byte> bytes) {
  lenskit::detail::reader in(bytes);
  try {
    (void)lenskit::detail::decode<T>(in);
    return true;
  } catch (const lenskit::serialization_error&) {
    return false;
  }
}

record some_record() {
  record made{"name", 3, std::vector<bool>{true, false, true}, {{"a", {1, 2}}, {"b", {}}}, {}, true};
  made.more[5] = std::make_unique<std::string>("five");
  made.more[6] = nullptr;
  return made;
}

zoo some_zoo() {
  zoo made;
  auto tom = std::make_shared<cat>();
  tom->name = "tom";
  auto kit = std::make_shared<cat>();
  kit->name = "kit";
  kit->favourite = tom->favourite = std::make_shared<toy>(toy{"ball"});
  made.shared = {tom, kit, tom, std::make_shared<animal>(), nullptr};
  made.owned.push_back(std::make_unique<cat>());
  made.owned.push_back(std::make_unique<animal>());
  made.house = std::make_unique<cage>();
  made.house->bars = {1, 2, 3};
  made.house->next = std::make_unique<cage>();
  return made;
}

template <class T>
void check_truncations(const T& value) {
  const auto whole = encoded(value);
  REQUIRE(decodes<T>(whole));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::vector<std::byte> part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    REQUIRE_FALSE(decodes<T>(part));
  }
}

template <class T>
void check_damages(const T& value) {
  auto bytes = encoded(value);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    CHECK_NOTHROW(decodes<T>(bytes));
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
  }
  std::mt19937 random(7);
  for (int round = 0; round < 3000; ++round) {
    auto damaged = bytes;
    for (auto hits = random() % 4 + 1; hits > 0; --hits) damaged[random() % damaged.size()] = std::byte(random() % 256);
    CHECK_NOTHROW(decodes<T>(damaged));
  }
}

}  // namespace hostile_test

BOOST_CLASS_EXPORT(hostile_test::cat)

using namespace hostile_test;

TEST_CASE("a message cut short at any byte is a serialization_error", "[wire]") {
  check_truncations(42);
  check_truncations(std::vector<std::pair<int, float>>(5));
  check_truncations(some_record());
  check_truncations(some_zoo());
  auto family = std::make_unique<parent>();
  family->children.push_back(std::make_unique<child>(child{family.get(), "first"}));
  family->children.push_back(std::make_unique<child>(child{family.get(), "second"}));
  check_truncations(family);
  check_truncations(std::shared_ptr<std::vector<std::string>>(new std::vector<std::string>{"a", "b"}));
}

TEST_CASE("damaged messages decode to a value or a serialization_error", "[wire]") {
  check_damages(some_record());
  check_damages(some_zoo());
  check_damages(std::vector<std::shared_ptr<std::string>>(3, std::make_shared<std::string>("shared")));
}

TEST_CASE("a number of elements that no message can hold allocates nothing", "[wire]") {
  lenskit::detail::writer out;
  out.put(std::uint64_t{1} << 60);
  const std::span<const std::byte> bytes(out.data(), out.size());
  CHECK_FALSE(decodes<std::string>(bytes));
  CHECK_FALSE(decodes<std::vector<double>>(bytes));
  CHECK_FALSE(decodes<std::vector<bool>>(bytes));
  CHECK_FALSE(decodes<std::vector<std::string>>(bytes));
  CHECK_FALSE(decodes<std::list<int>>(bytes));
  CHECK_FALSE(decodes<std::map<int, int>>(bytes));
  CHECK_FALSE(decodes<std::vector<cage>>(bytes));
}

TEST_CASE("a bool that is neither 0 nor 1 is refused", "[wire]") {
  const std::vector<std::byte> two{std::byte{2}};
  CHECK_FALSE(decodes<bool>(two));
  CHECK_FALSE(decodes<std::optional<int>>(two));
}

TEST_CASE("an object with two owners is refused", "[wire]") {
  // Two unique_ptrs in a message name one object: the second would delete it again.
  std::vector<std::unique_ptr<cage>> twice;
  twice.push_back(std::make_unique<cage>());
  twice.emplace_back(twice[0].get());
  const auto bytes = encoded(twice);
  (void)twice[1].release();
  CHECK_FALSE(decodes<std::vector<std::unique_ptr<cage>>>(bytes));
}

TEST_CASE("an object that owns itself is refused", "[wire]") {
  auto ring = std::make_unique<cage>();
  ring->next.reset(ring.get());
  const auto bytes = encoded(ring);
  (void)ring->next.release();
  CHECK_FALSE(decodes<std::unique_ptr<cage>>(bytes));
}
