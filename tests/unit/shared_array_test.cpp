#include <lenskit/detail/wire/codec.hpp>
#include <lenskit/error.hpp>
#include <lenskit/persist.hpp>
#include <lenskit/shared_array.hpp>

#include <support/catch.hpp>

#include <boost/archive/binary_iarchive.hpp>
#include <boost/archive/binary_oarchive.hpp>
#include <boost/archive/text_iarchive.hpp>
#include <boost/archive/text_oarchive.hpp>
#include <boost/archive/xml_iarchive.hpp>
#include <boost/archive/xml_oarchive.hpp>
#include <boost/serialization/nvp.hpp>

#include <array>
#include <complex>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <sstream>
#include <type_traits>
#include <utility>
#include <vector>

using lenskit::shared_array;

namespace {

struct rating {
  int item;
  float value;
  friend bool operator==(const rating&, const rating&) = default;
};

enum class genre : std::uint8_t { drama, comedy };

struct no_default {
  explicit no_default(int n) : number(n) {}
  int number;
  friend bool operator==(const no_default&, const no_default&) = default;
};

struct holder {
  shared_array<float> floats;
  shared_array<rating> ratings;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& BOOST_SERIALIZATION_NVP(floats);
    archive& BOOST_SERIALIZATION_NVP(ratings);
  }
};

template <class T>
shared_array<T> through_wire(const shared_array<T>& array) {
  lenskit::detail::writer out;
  lenskit::detail::encode(out, array);
  lenskit::detail::reader in(out.data(), out.size());
  auto back = lenskit::detail::decode<shared_array<T>>(in);
  CHECK(in.left() == 0);
  return back;
}

template <class Out, class In>
holder through_archive(const holder& value) {
  std::stringstream stream;
  {
    Out out(stream);
    out << boost::serialization::make_nvp("value", value);
  }
  holder back;
  In in(stream);
  in >> boost::serialization::make_nvp("value", back);
  return back;
}

}  // namespace

TEST_CASE("an array takes a moved vector over without copying it") {
  std::vector<float> values(1000);
  std::iota(values.begin(), values.end(), 0.0F);
  const auto* const where = values.data();
  const shared_array<float> array(std::move(values));
  CHECK(array.data() == where);
  CHECK(array.size() == 1000);
  CHECK(array[999] == 999.0F);
}

TEST_CASE("an array copies a span, a list and a vector that stays") {
  const std::array<int, 3> source{1, 2, 3};
  const std::vector<int> vector{1, 2, 3};
  const shared_array<int> from_span{std::span<const int>(source)};
  const shared_array<int> from_list{1, 2, 3};
  const shared_array<int> from_vector(vector);
  CHECK(from_span == from_list);
  CHECK(from_vector == from_list);
  CHECK(from_span.data() != source.data());
  CHECK(from_vector.data() != vector.data());
}

TEST_CASE("copies of an array share its elements and keep them alive") {
  auto first = std::make_unique<shared_array<int>>(std::vector<int>{7, 8, 9});
  const auto copy = *first;
  CHECK(copy.data() == first->data());
  first.reset();
  CHECK(copy.back() == 9);
}

TEST_CASE("an array that was moved from is empty") {
  shared_array<int> first{1, 2};
  const shared_array<int> second = std::move(first);
  CHECK(first.empty());  // NOLINT(bugprone-use-after-move)
  CHECK(first.data() == nullptr);
  CHECK(second.size() == 2);
}

TEST_CASE("an array is a range, and its elements cannot be changed") {
  const shared_array<double> array{1.5, 2.5};
  CHECK(std::accumulate(array.begin(), array.end(), 0.0) == 4.0);
  double sum = 0;
  for (const double each : array) sum += each;
  CHECK(sum == 4.0);
  CHECK(array.span().size() == 2);
  CHECK(array.front() == 1.5);
  STATIC_REQUIRE(std::is_same_v<decltype(*array.begin()), const double&>);
  STATIC_REQUIRE(std::is_same_v<decltype(array.data()), const double*>);
}

TEST_CASE("arrays are equal when their elements are") {
  CHECK(shared_array<int>{} == shared_array<int>(std::vector<int>{}));
  CHECK(shared_array<int>{1, 2} == shared_array<int>{1, 2});
  CHECK_FALSE(shared_array<int>{1, 2} == shared_array<int>{1, 2, 3});
  CHECK_FALSE(shared_array<int>{1, 2} == shared_array<int>{1, 3});
}

TEST_CASE("an array holds bools, pairs and types without a default constructor") {
  const shared_array<bool> bools{true, false, true};
  CHECK(bools[2]);
  CHECK(through_wire(bools) == bools);
  const shared_array<std::pair<int, float>> pairs{{1, 0.5F}, {2, 1.5F}};
  CHECK(through_wire(pairs) == pairs);
  const shared_array<no_default> numbers{no_default(1), no_default(2)};
  CHECK(through_wire(numbers) == numbers);
}

TEST_CASE("an array travels over the wire by value, alone or inside of something") {
  CHECK(through_wire(shared_array<float>{}).empty());
  const shared_array<rating> ratings{{1, 0.5F}, {2, 4.5F}};
  CHECK(through_wire(ratings) == ratings);
  const std::vector<std::optional<shared_array<genre>>> nested{shared_array<genre>{genre::comedy}, std::nullopt};
  lenskit::detail::writer out;
  lenskit::detail::encode(out, nested);
  lenskit::detail::reader in(out.data(), out.size());
  const auto back = lenskit::detail::decode<std::vector<std::optional<shared_array<genre>>>>(in);
  REQUIRE(back.size() == 2);
  CHECK(back[0] == nested[0]);
  CHECK_FALSE(back[1].has_value());
}

TEST_CASE("an array whose bytes are missing is refused before room is made for it") {
  lenskit::detail::writer out;
  lenskit::detail::encode(out, shared_array<float>{1, 2, 3});
  lenskit::detail::reader cut_off(out.data(), out.size() - 1);
  CHECK_THROWS_AS(lenskit::detail::decode<shared_array<float>>(cut_off), lenskit::serialization_error);
  lenskit::detail::writer huge;
  huge.put(std::uint64_t{1} << 62);
  lenskit::detail::reader in(huge.data(), huge.size());
  CHECK_THROWS_AS(lenskit::detail::decode<shared_array<float>>(in), lenskit::serialization_error);
}

TEST_CASE("an array lies inline in every ordinary archive of Boost.Serialization") {
  const holder value{{0.5F, -1.25F, 1e30F}, {{1, 0.5F}, {2, 4.5F}}};
  const auto binary = through_archive<boost::archive::binary_oarchive, boost::archive::binary_iarchive>(value);
  const auto text = through_archive<boost::archive::text_oarchive, boost::archive::text_iarchive>(value);
  const auto xml = through_archive<boost::archive::xml_oarchive, boost::archive::xml_iarchive>(value);
  for (const auto* back : {&binary, &text, &xml}) {
    CHECK(back->floats == value.floats);
    CHECK(back->ratings == value.ratings);
  }
}

TEST_CASE("an empty array goes through an ordinary archive") {
  const auto back = through_archive<boost::archive::text_oarchive, boost::archive::text_iarchive>({});
  CHECK(back.floats.empty());
  CHECK(back.ratings.empty());
}

namespace {

struct alignas(128) two_lines {
  std::array<char, 128> bytes{};
};
struct alignas(4096) one_page {
  std::array<char, 4096> bytes{};
};
struct alignas(16384) four_pages {
  std::array<char, 16384> bytes{};
};
template <class T>
struct padded_model {
  shared_array<char> pad;
  shared_array<T> values;
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& pad& values;
  }
};

}  // namespace

TEMPLATE_TEST_CASE("V7: elements of a stored array have the alignment that they ask for", "", two_lines, one_page,
                   four_pages) {
  std::vector<TestType> values(3);
  values[2].bytes[5] = 'x';
  const padded_model<TestType> model{std::vector<char>(1), std::move(values)};
  for (const auto method : {lenskit::persist_method::shm, lenskit::persist_method::file}) {
    auto stored = lenskit::persist(model, {.method = method});
    const auto& loaded = stored.get().values;
    REQUIRE(loaded.size() == 3);
    CHECK(reinterpret_cast<std::uintptr_t>(loaded.data()) % alignof(TestType) == 0);
    CHECK(loaded[2].bytes[5] == 'x');
  }
}
