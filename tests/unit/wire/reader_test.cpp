#include <lenskit/detail/wire/reader.hpp>
#include <lenskit/detail/wire/writer.hpp>
#include <lenskit/error.hpp>

#include <support/catch.hpp>

#include <unistd.h>

#include <cstdint>
#include <vector>

using lenskit::serialization_error;
using lenskit::detail::descriptor;
using lenskit::detail::reader;
using lenskit::detail::writer;

TEST_CASE("a reader gives back what a writer was given", "[wire]") {
  writer out;
  out.put(std::uint32_t{7});
  out.put(2.5);
  reader in(out.data(), out.size());
  CHECK(in.left() == 12);
  CHECK(in.get<std::uint32_t>() == 7);
  CHECK(in.get<double>() == 2.5);
  CHECK(in.left() == 0);
  CHECK(in.rest().empty());
}

TEST_CASE("reading past the end says what was expected", "[wire]") {
  const std::vector<std::byte> bytes(3);
  reader in(bytes);
  CHECK_THROWS_WITH(in.get<std::uint32_t>("a count"),
                    "cannot decode: a count of 4 bytes is expected, 3 bytes are left");
  CHECK(in.take(3).size() == 3);
  CHECK_THROWS_AS(in.take(1), serialization_error);
  CHECK(in.take(0).empty());
}

TEST_CASE("a count of more elements than the bytes left can hold is refused before anything is allocated", "[wire]") {
  writer out;
  out.put(std::uint64_t{3});
  out.put("123456", 6);
  CHECK(reader(out.data(), out.size()).get_count(2, "a vector") == 3);
  CHECK_THROWS_AS(reader(out.data(), out.size()).get_count(3, "a vector"), serialization_error);

  writer huge;
  huge.put(~std::uint64_t{0});
  CHECK_THROWS_WITH(
      reader(huge.data(), huge.size()).get_count(8, "a vector"),
      "cannot decode: a vector claims 18446744073709551615 elements, more than the 0 bytes left can hold");
}

TEST_CASE("descriptors are taken in the order in which they came", "[wire]") {
  std::vector<descriptor> came;
  came.emplace_back(::dup(STDERR_FILENO));
  came.emplace_back(::dup(STDERR_FILENO));
  const std::vector<int> numbers{came[0].get(), came[1].get()};
  reader in({}, came);
  CHECK(in.take_attachment().get() == numbers[0]);
  CHECK(in.take_attachment().get() == numbers[1]);
  CHECK_THROWS_AS(in.take_attachment(), serialization_error);
}

TEST_CASE("values that lie in one another too deep are refused", "[wire]") {
  reader in({});
  const auto descend = [&](auto& self, unsigned levels) -> void {
    if (levels == 0) return;
    const reader::nesting deeper(in);
    self(self, levels - 1);
  };
  CHECK_NOTHROW(descend(descend, reader::max_depth));
  CHECK_THROWS_AS(descend(descend, reader::max_depth + 1), serialization_error);
  CHECK_NOTHROW(descend(descend, reader::max_depth));  // it counts back
}
