#include <lenskit/detail/dispatch/task_source.hpp>
#include <lenskit/detail/dispatch/zip_source.hpp>

#include <support/catch.hpp>

#include <boost/iterator/iterator_facade.hpp>

#include <cstddef>
#include <iterator>
#include <limits>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

using lenskit::detail::pulled_tasks;
using lenskit::detail::task_source;
using lenskit::detail::writer;
using lenskit::detail::zip_source;

namespace {

// Not inlined: GCC 12 then takes an optional that is empty for one that was not initialised.
[[gnu::noinline]] pulled_tasks pull(task_source& source, std::uint32_t most) {
  writer into;
  return source.pull(into, most, std::numeric_limits<std::size_t>::max());
}

// As the stream sees it. For the same reason not seen through.
[[gnu::noipa]] task_source& untyped(task_source& source) { return source; }

// Goes to places in a list of words, and cannot tell how far they are apart.
struct without_distance
    : boost::iterator_facade<without_distance, const std::string, std::random_access_iterator_tag, const std::string&> {
  const std::string* at = nullptr;
  const std::string& dereference() const { return *at; }
  const std::string& operator[](std::ptrdiff_t by) const { return at[by]; }
  bool equal(const without_distance& other) const { return at == other.at; }
  void increment() { ++at; }
  void decrement() { --at; }
  void advance(std::ptrdiff_t by) { at += by; }
  [[noreturn]] std::ptrdiff_t distance_to(const without_distance&) const { throw std::runtime_error("how far?"); }
};
static_assert(std::random_access_iterator<without_distance>);
static_assert(std::sized_sentinel_for<without_distance, without_distance>);

}  // namespace

TEST_CASE("inputs that cannot tell their end lose nothing that they gave") {
  const std::vector<std::string> words{"a", "b"};
  without_distance begin;
  without_distance end;
  begin.at = words.data();
  end.at = begin.at + words.size();
  struct range {
    without_distance from;
    without_distance to;
    [[nodiscard]] without_distance begin() const { return from; }
    [[nodiscard]] without_distance end() const { return to; }
  } const unmeasured{begin, end};
  zip_source<const range&> source(unmeasured);
  const auto first = pull(source, 1);
  CHECK(first.count == 1);
  CHECK(first.input_failure);
}

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

TEST_CASE("a source of tasks encodes no more bytes than asked for but for the first task, and tells what is left") {
  const std::vector<std::string> words{std::string(100, 'a'), "b", "c"};
  zip_source<const std::vector<std::string>&> typed(words);
  auto& source = untyped(typed);
  CHECK(source.record_bytes() == 0);
  CHECK(source.remaining() == 3);
  writer into;
  const auto large = source.pull(into, 3, 50);
  CHECK(large.count == 1);
  CHECK_FALSE(large.exhausted);
  CHECK(source.remaining() == 2);
  writer rest;
  CHECK(source.pull(rest, 3, 1000).count == 2);
  CHECK(source.remaining() == 0);
}

TEST_CASE("a source of tasks of one size says how large they are") {
  const std::vector<int> numbers{1, 2};
  const std::vector<double> shares{0.5, 0.25};
  zip_source<const std::vector<int>&, const std::vector<double>&> typed(numbers, shares);
  auto& source = untyped(typed);
  CHECK(source.record_bytes() == sizeof(int) + sizeof(double));
  writer into;
  CHECK(source.pull(into, 8, 1000).count == 2);
  CHECK(into.size() == 2 * source.record_bytes());
}
