// What arguments, results and models may be: the same on every engine, or refused on all that cannot.
#include <lenskit/parallel.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/message_of.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <random>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using lenskit::engine;
using lenskit::invoker;
using lenskit::invoker_options;
using lenskit::persist_error;
using lenskit::persist_method;
using lenskit::tests::on;

namespace {

struct scorer {
  int factor = 1;
  scorer() = default;
  scorer(const scorer&) = default;
  scorer(scorer&&) = default;
  scorer& operator=(const scorer&) = default;
  scorer& operator=(scorer&&) = default;
  virtual ~scorer() = default;
  [[nodiscard]] virtual int score(int x) const { return x * factor; }
  template <class Archive>
  void serialize(Archive& ar, unsigned) {
    ar& factor;
  }
};
struct large_scorer : scorer {
  int more = 100;
  [[nodiscard]] int score(int x) const override { return x * more; }
};
struct abstract_scorer {
  virtual ~abstract_scorer() = default;
  [[nodiscard]] virtual int score(int x) const = 0;
};
struct concrete_scorer final : abstract_scorer {
  [[nodiscard]] int score(int x) const override { return 3 * x; }
};

struct by_direction {
  bool down = false;
  bool operator()(int a, int b) const { return down ? a > b : a < b; }
};

struct alignas(128) wide {
  std::array<float, 32> numbers{};
};
template <class T>
bool is_aligned(const T* at) {
  return reinterpret_cast<std::uintptr_t>(at) % alignof(T) == 0;
}

int score(const scorer& model, int x) { return model.score(x); }

}  // namespace

TEST_CASE("V1: a model given by its base is whole on every engine, or refused by processes") {
  ON_EVERY_ENGINE(engine);
  const large_scorer trained;
  const scorer& by_base = trained;
  const auto refused = [&](persist_method how) {
    invoker_options options = on(engine);
    options.persist_method = how;
    CHECK_THROWS_AS(invoker(by_base, &score, options), persist_error);
  };
  if (engine == engine::processes) {
    refused(persist_method::automatic);
    refused(persist_method::shm);
    refused(persist_method::file);
  }
  invoker_options options = on(engine);
  options.persist_method = persist_method::inherit;
  invoker inv(by_base, &score, options);
  CHECK(inv.map(std::vector{1, 2}).collect() == std::vector{100, 200});
}

TEST_CASE("V1: a model that is moved in by its base is refused by every engine") {
  ON_EVERY_ENGINE(engine);
  large_scorer trained;
  scorer& by_base = trained;
  CHECK_THROWS_AS(invoker(std::move(by_base), &score, on(engine)), persist_error);
  invoker whole(large_scorer(), &score, on(engine));
  invoker base(scorer(), &score, on(engine));
  if (engine != engine::processes) CHECK(whole.map(std::vector{1}).collect() == std::vector{100});
  CHECK(base.map(std::vector{1}).collect() == std::vector{1});
}

TEST_CASE("V1: persist refuses a model by its base unless it is inherited") {
  const large_scorer trained;
  const scorer& by_base = trained;
  const auto why = lenskit::tests::message_of<persist_error>([&] { (void)lenskit::persist(by_base); });
  CHECK(lenskit::tests::mentions(why, {"large_scorer", "persist_method::inherit"}));
  large_scorer other;
  CHECK_THROWS_AS(lenskit::persist(std::move(static_cast<scorer&>(other)), {.method = persist_method::inherit}),
                  persist_error);
  CHECK(lenskit::persist(by_base, {.method = persist_method::inherit}).get().score(1) == 100);
}

TEST_CASE("V1: an abstract model is inherited, hence whole on every engine") {
  ON_EVERY_ENGINE(engine);
  const concrete_scorer trained;
  const abstract_scorer& by_base = trained;
  invoker inv(
      by_base, [](const abstract_scorer& model, int x) { return model.score(x); }, on(engine));
  CHECK(inv.map(std::vector{1, 2}).collect() == std::vector{3, 6});
}

TEST_CASE("V1: a set with a stateful comparator is the same as an argument and as a result") {
  ON_EVERY_ENGINE(engine);
  using numbers = std::set<int, by_direction>;
  invoker inv(
      0,
      [](int, numbers given) {
        given.insert(0);
        return given;
      },
      on(engine));
  numbers down(by_direction{true});
  down.insert({1, 2, 3});
  const auto arrived = inv.map(std::vector{down}).collect().at(0);
  CHECK(std::vector<int>(arrived.begin(), arrived.end()) == std::vector{3, 2, 1, 0});
}

TEST_CASE("V1: seeds in a thread that a task started are new, or refused") {
  ON_EVERY_ENGINE(engine);
  lenskit::init_rng(42);
  const auto draw = [] {
    auto seed = lenskit::derive_seed();
    return std::uint64_t{std::mt19937_64(seed)()};
  };
  const auto fn = [draw](int, int) {
    std::pair<bool, std::uint64_t> drawn{true, 0};
    std::thread([&] {
      try {
        drawn.second = draw();
      } catch (const std::logic_error&) {
        drawn.first = false;
      }
    }).join();
    return drawn;
  };
  invoker inv(0, fn, {.n_jobs = 3, .engine = engine, .chunk_size = 1});
  std::set<std::uint64_t> distinct;
  std::size_t draws = 0;
  for (auto [drew, number] : inv.map(std::views::iota(0, 9))) {
    CHECK(drew == (engine != engine::processes));
    if (drew) ++draws, distinct.insert(number);
  }
  for (int i = 0; i < 2; ++i) ++draws, distinct.insert(draw());
  CHECK(distinct.size() == draws);
}

TEST_CASE("V1: map calls in a thread that a task started have seeds of their own") {
  ON_EVERY_ENGINE(engine);
  lenskit::init_rng(42);
  const auto fn = [](int, int) {
    std::uint64_t drawn = 0;
    std::thread([&] {
      invoker inner(0,
                    [](int, int) {
                      auto seed = lenskit::task_seed();
                      return std::uint64_t{std::mt19937_64(seed)()};
                    },
                    {.engine = engine::in_process});
      drawn = inner.map(std::vector{1}).collect().at(0);
    }).join();
    return drawn;
  };
  invoker inv(0, fn, {.n_jobs = 3, .engine = engine, .chunk_size = 1});
  const auto drawn = inv.map(std::views::iota(0, 9)).collect();
  CHECK(std::set<std::uint64_t>(drawn.begin(), drawn.end()).size() == drawn.size());
}

TEST_CASE("V2: 128-bit integers are arguments, results and models") {
  ON_EVERY_ENGINE(engine);
  __extension__ using wide_int = __int128;
  invoker inv(
      wide_int{3}, [](const wide_int& m, wide_int x) { return m * x; }, on(engine));
  CHECK(inv.map(std::vector{wide_int{1} << 100}).collect().at(0) == wide_int{3} << 100);
}

TEST_CASE("V2: a string literal is a model") {
  ON_EVERY_ENGINE(engine);
  invoker by_pointer(
      "foo", [](const char* s, int i) { return static_cast<int>(std::strlen(s)) + i; }, on(engine));
  CHECK(by_pointer.map(std::vector{0, 1}).collect() == std::vector{3, 4});
  invoker by_string(
      "foo", [](const std::string& s, int i) { return s + std::to_string(i); }, on(engine));
  CHECK(by_string.map(std::vector{0, 1}).collect() == std::vector<std::string>{"foo0", "foo1"});
  invoker by_view(
      "foo", [](std::string_view s, int) { return s.size(); }, on(engine));
  CHECK(by_view.map(std::vector{0}).collect() == std::vector<std::size_t>{3});
}

TEST_CASE("V2: an array is a model, of values and of what cannot be stored") {
  ON_EVERY_ENGINE(engine);
  const auto method = GENERATE(persist_method::automatic, persist_method::shm, persist_method::file);
  auto options = on(engine);
  options.persist_method = method;
  const int weights[2][3] = {{1, 2, 3}, {4, 5, 6}};
  invoker inv(
      weights, [](const int(&m)[2][3], std::size_t i) { return m[i / 3][i % 3]; }, options);
  CHECK(inv.map(std::views::iota(std::size_t{0}, std::size_t{6})).collect() == std::vector{1, 2, 3, 4, 5, 6});
  std::string moved[2] = {"one", "two"};
  invoker owner(
      std::move(moved), [](const std::string(&m)[2], int i) { return m[i]; }, options);
  CHECK(owner.map(std::vector{1, 0}).collect() == std::vector<std::string>{"two", "one"});
  options.persist_method = persist_method::automatic;
  const char* const names[] = {"a", "b"};
  invoker inherited(
      names, [](const char* const(&m)[2], int i) { return std::string(m[i]); }, options);
  CHECK(inherited.map(std::vector{1}).collect() == std::vector<std::string>{"b"});
}

TEST_CASE("V2: a generic function that forwards is only asked about rvalues") {
  ON_EVERY_ENGINE(engine);
  const auto fn = [](const int&, auto&& p) {
    std::unique_ptr<int> mine = std::forward<decltype(p)>(p);
    return *mine;
  };
  invoker inv(0, fn, on(engine));
  std::vector<std::unique_ptr<int>> in;
  in.push_back(std::make_unique<int>(7));
  CHECK(inv.map(in).collect() == std::vector{7});
}

TEST_CASE("V7: a range that was moved from throws, and the other is whole") {
  ON_EVERY_ENGINE(engine);
  invoker inv(
      0, [](int, int x) { return x; }, on(engine));
  SECTION("before it was begun") {
    auto from = inv.map(std::views::iota(0, 10));
    auto to = std::move(from);
    CHECK_THROWS_AS(from.begin(), lenskit::invoker_closed);
    CHECK_THROWS_AS(from.collect(), lenskit::invoker_closed);
    CHECK(to.collect().size() == 10);
  }
  SECTION("in the middle, where values had been taken already") {
    auto from = inv.map(std::views::iota(0, 1000));
    auto at = from.begin();
    for (int i = 0; i < 10; ++i) ++at;
    CHECK(*at == 10);
    auto to = std::move(from);
    CHECK_THROWS_AS(++at, lenskit::invoker_closed);
    CHECK_THROWS_AS(from.begin(), lenskit::invoker_closed);
    int expected = 10;
    for (const int x : to) REQUIRE(x == expected++);
    CHECK(expected == 1000);
  }
  SECTION("and can be given another") {
    auto from = inv.map(std::views::iota(0, 10));
    auto to = std::move(from);
    from = inv.map(std::views::iota(0, 3));
    CHECK(from.collect().size() == 3);
    to = std::move(to);  // NOLINT(clang-diagnostic-self-move)
    CHECK(to.collect().size() == 10);
  }
}

TEST_CASE("V7: elements that ask for much alignment have it everywhere") {
  ON_EVERY_ENGINE(engine);
  const auto fn = [](const std::vector<wide>& model, const std::vector<wide>& given) {
    if (!is_aligned(model.data()) || !is_aligned(given.data())) throw std::runtime_error("it is misaligned");
    return given;
  };
  invoker inv(std::vector<wide>(3), fn, on(engine));
  for (const auto& result : inv.map(std::vector(20, std::vector<wide>(5)))) CHECK(is_aligned(result.data()));
  invoker alone(
      wide(),
      [](const wide& model, wide given) {
        if (!is_aligned(&model) || !is_aligned(&given)) throw std::runtime_error("it is misaligned");
        return given;
      },
      on(engine));
  for (const auto& result : alone.map(std::vector<wide>(20))) CHECK(is_aligned(&result));
}

TEST_CASE("V5: the library's own exceptions keep type and fields from a task, a subprocess and a pool within") {
  ON_EVERY_ENGINE(engine);
  const auto fails = [](int, int) -> int { throw lenskit::no_space(100, 7, "/dev/shm"); };
  const auto check = [](auto&& run) {
    try {
      run();
      FAIL("nothing was thrown");
    } catch (const lenskit::no_space& e) {
      CHECK(e.needed() == 100);
      CHECK(e.available() == 7);
      CHECK(e.where() == "/dev/shm");
      CHECK(dynamic_cast<const lenskit::task_error*>(&e) != nullptr);
      CHECK(lenskit::describe(std::current_exception()).find("\n  needed: 100 bytes\n") != std::string::npos);
    }
  };
  invoker inv(0, fails, on(engine));
  check([&] { (void)inv.map(std::vector{1}).collect(); });
  invoker outer(
      0, [fails](int, int x) { return invoker(0, fails, on(engine::in_process)).map(std::vector{x}).collect(); },
      on(engine));
  check([&] { (void)outer.map(std::vector{1}).collect(); });
  if (engine == engine::processes) check([&] { (void)lenskit::run_sp([&] { return fails(0, 0); }); });
}

#ifndef __SANITIZE_THREAD__
TEST_CASE("V5: a death in a pool within a task is told whole, as the failure of that task") {
  const auto dies = [](int, int) -> int { std::_Exit(3); };
  const auto nested = [dies](int, int x) {
    return invoker(0, dies, {.n_jobs = 1, .engine = engine::processes}).map(std::vector{x}).collect();
  };
  invoker outer(0, nested, {.n_jobs = 1, .engine = engine::processes});
  auto results = outer.map_outcomes(std::vector{1, 2});
  std::size_t index = 0;
  for (auto& result : results) {
    try {
      (void)result.value();
      FAIL("nothing was thrown");
    } catch (const lenskit::worker_died& e) {
      CHECK(e.exit_code() == 3);
      CHECK(e.index() == index);
      CHECK(std::string(e.what()).find("exited with code 3") != std::string::npos);
    }
    ++index;
  }
  CHECK(index == 2);
}
#endif
