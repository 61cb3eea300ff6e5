#include <lenskit/detail/pool/zip_source.hpp>

#include <support/catch.hpp>

#include <cstddef>
#include <limits>
#include <ranges>
#include <string>
#include <vector>

using lenskit::detail::pulled_tasks;
using lenskit::detail::writer;
using lenskit::detail::zip_source;

namespace {

template <class... Ranges>
pulled_tasks pull(zip_source<Ranges...>& source, std::uint32_t most) {
  writer into;
  return source.pull(into, most, std::numeric_limits<std::size_t>::max());
}

}  // namespace

TEST_CASE("inputs that know their end say so with their last element") {
  const std::vector<int> numbers{1, 2, 3};
  zip_source<const std::vector<int>&> source(numbers);
  CHECK(!pull(source, 2).exhausted);
  const auto last = pull(source, 1);
  CHECK(last.count == 1);
  CHECK(last.exhausted);
}

TEST_CASE("the shortest of several inputs is their end") {
  const std::vector<std::string> words{"a", "b"};
  const std::vector<int> numbers{1, 2, 3};
  zip_source<const std::vector<std::string>&, const std::vector<int>&> source(words, numbers);
  const auto all = pull(source, 2);
  CHECK(all.count == 2);
  CHECK(all.exhausted);
}

TEST_CASE("inputs that do not know their end are asked for one element more") {
  std::vector<int> numbers{1, 2, 3};
  auto odd = numbers | std::views::filter([](int x) { return x % 2 == 1; });
  zip_source<decltype(odd)&> source(odd);
  const auto both = pull(source, 2);
  CHECK(both.count == 2);
  CHECK(!both.exhausted);
  const auto none = pull(source, 2);
  CHECK(none.count == 0);
  CHECK(none.exhausted);
}

TEST_CASE("no inputs at all have no last element") {
  const std::vector<int> nothing;
  zip_source<const std::vector<int>&> source(nothing);
  const auto none = pull(source, 1);
  CHECK(none.count == 0);
  CHECK(none.exhausted);
}
