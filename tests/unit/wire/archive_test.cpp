#include <lenskit/detail/wire/codec.hpp>
#include <lenskit/error.hpp>

#include <boost/serialization/base_object.hpp>
#include <boost/serialization/export.hpp>
#include <boost/serialization/split_member.hpp>
#include <boost/serialization/version.hpp>

#include <support/catch.hpp>

#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "trip.hpp"

using lenskit::serialization_error;
using lenskit::tests::decoded;
using lenskit::tests::encoded;
using lenskit::tests::trip;
namespace detail = lenskit::detail;

namespace archive_test {

struct plain_part {
  std::string text;
  int numbers[2];
  bool operator==(const plain_part&) const = default;
};

// A class whose serialize() is private, and whose members are of kinds that Boost 1.81 itself does not know.
class model {
 public:
  model() = default;
  explicit model(std::string given) : name(std::move(given)) {}
  std::string name;
  std::optional<std::string> note;
  std::tuple<int, std::string> pair{};
  std::variant<int, std::string> either;
  std::unordered_map<std::string, std::vector<float>> table;
  plain_part part{};
  std::unique_ptr<plain_part> owned;
  bool operator<(const model& other) const { return name < other.name; }

 private:
  friend class boost::serialization::access;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& name& note& pair& either& table& part& owned;
  }
};

struct split {
  int stored = 0;
  unsigned seen_version = 0;
  template <class Archive>
  void save(Archive& ar, unsigned) const {
    ar& stored;
  }
  template <class Archive>
  void load(Archive& ar, unsigned version) {
    ar& stored;
    seen_version = version;
  }
  BOOST_SERIALIZATION_SPLIT_MEMBER()
};

struct outside {
  explicit outside(int number = 0) : value(number) {}
  int value;
};

template <class Archive>
void serialize(Archive& ar, outside& it, unsigned) {
  ar& it.value;
}

struct shape {
  shape() = default;
  shape(const shape&) = default;
  virtual ~shape() = default;
  virtual int area() const = 0;
  template <class Archive>
  void serialize(Archive&, unsigned) {}
};
struct square : shape {
  int side = 0;
  int area() const override { return side * side; }
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& boost::serialization::base_object<shape>(*this) & side;
  }
};
struct named {
  std::string name;
  virtual ~named() = default;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& name;
  }
};
struct named_square : named, square {  // its shape is not where it starts
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& boost::serialization::base_object<named>(*this) & boost::serialization::base_object<square>(*this);
  }
};
struct unknown_shape : shape {
  int area() const override { return -1; }
};

// A ring through raw pointers.
struct person {
  std::string name;
  person* next = nullptr;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& name& next;
  }
};

struct couple {
  person first, second;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& first& second;
  }
};

struct throws_on_save {
  std::string text = "boom";
  int kind = 0;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    std::vector<char> megabyte(1 << 20);
    ar& megabyte;
    if (kind == 0) throw std::runtime_error(text);
    if (kind == 1) throw 5;
    throw std::bad_alloc();
  }
};

// With a serialize() that has nothing to do with Boost.
struct own_format {
  int number = 0;
  std::string serialize() const { return std::to_string(number); }
};

struct nothing_stored {
  int cache = 3;
  template <class Archive>
  void serialize(Archive&, unsigned) {}
};

}  // namespace archive_test

BOOST_CLASS_VERSION(archive_test::split, 200)
BOOST_CLASS_EXPORT(archive_test::square)
BOOST_CLASS_EXPORT(archive_test::named_square)

using namespace archive_test;

TEST_CASE("a class with a private serialize() travels with members that Boost does not know", "[wire]") {
  model original("als");
  original.note = "x";
  original.pair = {1, "one"};
  original.either = "either";
  original.table["k"] = {1.f, 2.f};
  original.part = {"text", {3, 4}};
  original.owned = std::make_unique<plain_part>(plain_part{"own", {5, 6}});
  const auto arrived = trip(original);
  CHECK(arrived.name == "als");
  CHECK(arrived.note == "x");
  CHECK(arrived.pair == original.pair);
  CHECK(arrived.either == original.either);
  CHECK(arrived.table == original.table);
  CHECK(arrived.part == original.part);
  CHECK(*arrived.owned == *original.owned);
}

TEST_CASE("split and free serialize functions and high versions work", "[wire]") {
  split original;
  original.stored = 9;
  const auto arrived = trip(original);
  CHECK(arrived.stored == 9);
  CHECK(arrived.seen_version == 200);
  CHECK(trip(outside(4)).value == 4);
}

TEST_CASE("containers of classes with serialize() work, and aggregates that hold them", "[wire]") {
  CHECK(trip(std::vector<outside>(3, outside(5))).at(2).value == 5);
  CHECK(trip(std::map<std::string, outside>{{"a", outside(6)}}).at("a").value == 6);
  CHECK(trip(std::optional(outside(7)))->value == 7);
  CHECK(std::get<1>(trip(std::tuple(1, outside(8)))).value == 8);
  CHECK(std::get<1>(trip(std::variant<int, outside>(outside(9)))).value == 9);
  std::set<model> set;
  set.emplace("b");
  set.emplace("a");
  const auto arrived = trip(std::make_unique<std::set<model>>(std::move(set)));
  CHECK(arrived->begin()->name == "a");
  struct holder {
    std::string text;
    std::vector<outside> many;
    outside one;
  };
  CHECK(trip(holder{"t", {outside(1)}, outside(2)}).one.value == 2);
  CHECK(trip(std::vector<nothing_stored>(1000)).size() == 1000);
}

TEST_CASE("a serialize() that is not Boost's is left alone", "[wire]") { CHECK(trip(own_format{12}).number == 12); }

TEST_CASE("exported classes arrive through a pointer to their base as what they are", "[wire]") {
  std::vector<std::unique_ptr<shape>> shapes;
  for (int side = 1; side <= 3; ++side) {
    auto one = std::make_unique<square>();
    one->side = side;
    shapes.push_back(std::move(one));
    auto other = std::make_unique<named_square>();
    other->side = 10 * side;
    other->name = "big";
    shapes.push_back(std::move(other));
  }
  shapes.push_back(nullptr);
  const auto arrived = trip(shapes);
  REQUIRE(arrived.size() == 7);
  CHECK(arrived[4]->area() == 9);
  CHECK(arrived[5]->area() == 900);
  CHECK(dynamic_cast<const named_square&>(*arrived[5]).name == "big");
  CHECK(arrived[6] == nullptr);
}

TEST_CASE("shared pointers share again, whichever base they point to", "[wire]") {
  const auto both = std::make_shared<named_square>();
  both->side = 4;
  both->name = "shared";
  const auto [as_shape, as_named] = trip(std::pair(std::shared_ptr<shape>(both), std::shared_ptr<const named>(both)));
  CHECK(as_shape->area() == 16);
  CHECK(as_named->name == "shared");
  CHECK(dynamic_cast<const named_square*>(as_named.get()) == dynamic_cast<const named_square*>(as_shape.get()));
  CHECK(as_shape.use_count() == 2);
}

TEST_CASE("a class that was not exported is a serialization_error", "[wire]") {
  const std::unique_ptr<shape> unknown = std::make_unique<unknown_shape>();
  CHECK_THROWS_AS(encoded(unknown), serialization_error);
}

TEST_CASE("raw pointers inside a message point to the copies there", "[wire]") {
  couple original{{"a", nullptr}, {"b", nullptr}};
  original.first.next = &original.second;  // met as a pointer before it is met as an object
  original.second.next = nullptr;
  CHECK_THROWS_AS(encoded(original), serialization_error);  // Boost's pointer_conflict: it would become two objects

  auto ring = std::make_unique<couple>();  // not by value: that is moved after its arrival, away from its pointers
  ring->first.name = "a";
  ring->second.next = &ring->first;
  const auto arrived = trip(ring);
  CHECK(arrived->second.next == &arrived->first);
  CHECK(arrived->second.next->name == "a");

  auto* self = new person{"self", nullptr};
  self->next = self;
  const std::unique_ptr<person> owner(self);
  const auto alone = trip(owner);
  CHECK(alone->next == alone.get());
}

TEST_CASE("an object at the address of an earlier one is sent again: tracking ends with the message", "[wire]") {
  std::vector<std::byte> first, second;
  auto object = std::make_shared<outside>(1);
  first = encoded(object);
  object->value = 2;  // same address, as if freed and allocated again
  second = encoded(object);
  CHECK(decoded<std::shared_ptr<outside>>(first)->value == 1);
  CHECK(decoded<std::shared_ptr<outside>>(second)->value == 2);
}

TEST_CASE("whatever serialize() throws becomes a serialization_error, but for lack of memory", "[wire]") {
  throws_on_save value;
  CHECK_THROWS_WITH(encoded(value), "cannot encode archive_test::throws_on_save: boom");
  value.kind = 1;
  CHECK_THROWS_AS(encoded(value), serialization_error);
  value.kind = 2;
  CHECK_THROWS_AS(encoded(value), std::bad_alloc);
}

TEST_CASE("a value that failed half-way leaves what was there before", "[wire]") {
  detail::writer out;
  detail::encode(out, 5);
  const auto mark = out.size();
  CHECK_THROWS_AS(detail::encode(out, throws_on_save()), serialization_error);
  CHECK(out.size() > mark);
  out.resize_down(mark);
  detail::encode(out, 6);
  detail::reader in(out.data(), out.size());
  CHECK(detail::decode<int>(in) == 5);
  CHECK(detail::decode<int>(in) == 6);
}

namespace {

// What the share floor does: keeps arrays out of band.
struct memory : detail::array_store, detail::array_source {
  std::vector<std::vector<std::byte>> kept;
  std::uint64_t put(const void* data, std::size_t bytes, std::size_t) override {
    const auto* first = static_cast<const std::byte*>(data);
    kept.emplace_back(first, first + bytes);
    return kept.size() - 1;
  }
  std::span<const std::byte> get(std::uint64_t token, std::size_t bytes) override {
    return std::span(kept.at(token)).first(bytes);
  }
  std::shared_ptr<const void> keeper() override { return {}; }
};

struct big_array {
  std::vector<double> values;
  template <class Archive>
  void save(Archive& ar, unsigned) const {
    const auto size = values.size();
    ar& size;
    const auto token = ar.store()->put(values.data(), size * sizeof(double), alignof(double));
    ar& token;
  }
  template <class Archive>
  void load(Archive& ar, unsigned) {
    std::size_t size = 0;
    std::uint64_t token = 0;
    ar& size& token;
    const auto bytes = ar.source()->get(token, size * sizeof(double));
    values.resize(size);
    std::memcpy(values.data(), bytes.data(), bytes.size());
  }
  BOOST_SERIALIZATION_SPLIT_MEMBER()
};

}  // namespace

TEST_CASE("an archive can keep arrays out of band", "[wire]") {
  memory kept;
  detail::writer out;
  const std::vector<big_array> arrays{{{1, 2, 3}}, {{4}}};
  detail::oarchive(out, &kept) << arrays;
  CHECK(kept.kept.size() == 2);
  detail::reader in(out.data(), out.size());
  std::vector<big_array> arrived;
  detail::iarchive(in, &kept) >> arrived;
  CHECK(arrived.at(0).values == std::vector<double>{1, 2, 3});
  CHECK(arrived.at(1).values == std::vector<double>{4});
}
