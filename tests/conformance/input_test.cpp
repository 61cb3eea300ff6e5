#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/counting_input.hpp>
#include <support/engines.hpp>

#include <exception>
#include <optional>
#include <ranges>
#include <vector>

using lenskit::invoker;
using lenskit::tests::counting_input;
using lenskit::tests::input_broke;
using lenskit::tests::on;

namespace {

// An input of one element that throws the very exception it is given.
class throwing_input {
 public:
  explicit throwing_input(std::exception_ptr what) : what_(std::move(what)) {}
  class iterator {
   public:
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    explicit iterator(const throwing_input* input) : input_(input) {}
    int operator*() const { return 0; }
    iterator& operator++() { std::rethrow_exception(input_->what_); }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator&, std::default_sentinel_t) { return false; }

   private:
    const throwing_input* input_;
  };
  [[nodiscard]] iterator begin() const { return iterator(this); }
  [[nodiscard]] std::default_sentinel_t end() const { return {}; }

 private:
  std::exception_ptr what_;
};

auto same() {
  return [](int, int x) { return x; };
}

}  // namespace

TEST_CASE("an input that throws: what came before is delivered, then that exception") {
  ON_EVERY_ENGINE(engine);
  const int breaks_at = GENERATE(0, 1, 7, 19, 20);
  const std::size_t chunk = GENERATE(0U, 1U, 5U, 100U);
  auto options = on(engine);
  options.chunk_size = chunk;
  invoker inv(0, same(), options);
  int pulled = 0;
  std::vector<int> before;
  try {
    for (const int result : inv.map(counting_input(pulled, 20, breaks_at))) before.push_back(result);
    CHECK(false);
  } catch (const input_broke& error) {
    CHECK(error.what() == "the input broke at " + std::to_string(breaks_at));
    CHECK(dynamic_cast<const lenskit::task_error*>(&error) == nullptr);
  }
  CHECK(before.size() == static_cast<std::size_t>(breaks_at));
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(before[i] == static_cast<int>(i));
  // The pool is as good as before.
  CHECK(inv.map(std::views::iota(5, 8)).collect() == std::vector{5, 6, 7});
}

TEST_CASE("the exception of an input is that very object, whatever its type") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, same(), on(engine));
  const auto thrown = std::make_exception_ptr(42);
  auto results = inv.map(throwing_input(thrown));
  auto at = results.begin();
  CHECK(*at == 0);
  std::exception_ptr caught;
  try {
    ++at;
  } catch (...) {
    caught = std::current_exception();
  }
  CHECK(caught == thrown);
  ++at;
  CHECK(at == results.end());
}

TEST_CASE("an input that throws ends outcomes and completions in the same way") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, same(), on(engine));
  int pulled = 0;
  std::size_t delivered = 0;
  CHECK_THROWS_AS(
      [&] {
        for (const auto& each : inv.map_outcomes(counting_input(pulled, 20, 7))) delivered += each.has_value();
      }(),
      input_broke);
  CHECK(delivered == 7);
  delivered = 0;
  CHECK_THROWS_AS(
      [&] {
        for (const auto& each : inv.as_completed(counting_input(pulled, 20, 7))) delivered += each.result.has_value();
      }(),
      input_broke);
  CHECK(delivered == 7);
}

TEST_CASE("nothing is asked of an input after it has thrown or ended") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, same(), on(engine));
  int pulled = 0;
  auto broken = inv.map(counting_input(pulled, 20, 3));
  CHECK_THROWS_AS(broken.collect(), input_broke);
  CHECK(pulled == 3);
  CHECK(broken.collect().empty());
  CHECK(pulled == 3);

  pulled = 0;
  auto finished = inv.map(counting_input(pulled, 4));
  CHECK(finished.collect().size() == 4);
  CHECK(finished.collect().empty());
  CHECK(finished.begin() == finished.end());
  CHECK(pulled == 4);
}
