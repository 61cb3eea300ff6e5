#include <lenskit/invoker.hpp>
#include <support/catch.hpp>
#include <support/engines.hpp>
#include <support/message_of.hpp>

#include <unistd.h>

#include <algorithm>
#include <any>
#include <cerrno>
#include <chrono>
#include <exception>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <ranges>
#include <regex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>
#include <typeinfo>
#include <variant>
#include <vector>

using lenskit::invoker;
using lenskit::task_error;
using lenskit::tests::on;

namespace {

struct odd_number : std::exception {
  [[nodiscard]] const char* what() const noexcept override { return "an odd number"; }
};

int refuse_odd(int, int x) {
  if (x % 2 == 1) throw std::out_of_range("no item " + std::to_string(x));
  return x;
}

// A standard exception: how a task throws it, and whether a handler for it catches what arrives.
struct standard_exception {
  const char* name;
  void (*raise)();
  bool (*catches)(const std::exception_ptr&);
};

template <class Exception, class... Args>
standard_exception standard(const char* name, Args... args) {
  static const auto make = [=] { return Exception(args...); };
  return {name, [] { throw make(); },
          [](const std::exception_ptr& thrown) {
            try {
              std::rethrow_exception(thrown);
            } catch (const Exception& arrived) {
              return std::string(arrived.what()) == make().what();
            } catch (...) {
              return false;
            }
          }};
}

const std::vector<standard_exception>& standard_exceptions() {
  static const std::vector all{
      standard<std::logic_error>("std::logic_error", "a"),
      standard<std::invalid_argument>("std::invalid_argument", "b"),
      standard<std::domain_error>("std::domain_error", "c"),
      standard<std::length_error>("std::length_error", "d"),
      standard<std::out_of_range>("std::out_of_range", "e"),
      standard<std::runtime_error>("std::runtime_error", "f"),
      standard<std::range_error>("std::range_error", "g"),
      standard<std::overflow_error>("std::overflow_error", "h"),
      standard<std::underflow_error>("std::underflow_error", "i"),
      standard<std::bad_alloc>("std::bad_alloc"),
      standard<std::bad_array_new_length>("std::bad_array_new_length"),
      standard<std::bad_cast>("std::bad_cast"),
      standard<std::bad_any_cast>("std::bad_any_cast"),
      standard<std::bad_typeid>("std::bad_typeid"),
      standard<std::bad_exception>("std::bad_exception"),
      standard<std::bad_function_call>("std::bad_function_call"),
      standard<std::bad_weak_ptr>("std::bad_weak_ptr"),
      standard<std::bad_optional_access>("std::bad_optional_access"),
      standard<std::bad_variant_access>("std::bad_variant_access"),
      standard<std::future_error>("std::future_error", std::future_errc::no_state),
      standard<std::regex_error>("std::regex_error", std::regex_constants::error_paren),
      standard<std::system_error>("std::system_error", ENOENT, std::ref(std::generic_category()), "cannot open"),
      standard<std::ios_base::failure>("std::ios_base::failure", "cannot read"),
      standard<std::filesystem::filesystem_error>("std::filesystem::filesystem_error", "cannot stat", "/nowhere",
                                                  std::make_error_code(std::errc::io_error)),
  };
  return all;
}

}  // namespace

TEST_CASE("a failed task throws at its place, and a further step goes on behind it") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, refuse_odd, on(engine));
  auto results = inv.map(std::views::iota(0, 30));
  std::vector<int> values;
  std::vector<std::size_t> failed;
  auto at = results.begin();
  while (at != results.end()) {
    values.push_back(*at);
    bool again = true;
    while (again) {
      again = false;
      try {
        ++at;
      } catch (const std::out_of_range& error) {
        const auto* where = dynamic_cast<const task_error*>(&error);
        REQUIRE(where != nullptr);
        CHECK(error.what() == "no item " + std::to_string(where->index()));
        failed.push_back(where->index());
        again = true;
      }
    }
  }
  CHECK(values == std::vector{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28});
  CHECK(failed == std::vector<std::size_t>{1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29});
}

TEST_CASE("the first task may fail, and begin goes on behind it") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, refuse_odd, on(engine));
  auto results = inv.map(std::vector{1, 3, 4, 6});
  CHECK_THROWS_AS(results.begin(), std::out_of_range);
  CHECK_THROWS_AS(results.begin(), std::out_of_range);
  CHECK(*results.begin() == 4);
  CHECK(*results.begin() == 4);
  CHECK(results.collect() == std::vector{4, 6});
}

TEST_CASE("the exception says where the task ran and what it was") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, refuse_odd, on(engine));
  auto results = inv.map(std::vector{0, 2, 4, 7});
  try {
    std::ignore = results.collect();
    CHECK(false);
  } catch (const std::exception& error) {
    const auto& where = dynamic_cast<const task_error&>(error);
    CHECK(where.index() == 3);
    CHECK(where.type_name() == "std::out_of_range");
    CHECK(where.message() == "no item 7");
    CHECK(error.what() == where.message());
    CHECK((where.worker_pid() == getpid()) == lenskit::tests::shares_memory(engine));
    CHECK(where.worker_pid() > 0);
  }
}

TEST_CASE("every standard exception keeps its type and its message") {
  ON_EVERY_ENGINE(engine);
  const auto& all = standard_exceptions();
  invoker inv(
      0, [&all](int, std::size_t which) { all[which].raise(); }, on(engine));
  std::size_t index = 0;
  for (const auto& each : inv.map_outcomes(std::views::iota(std::size_t{0}, all.size()))) {
    INFO(all[index].name);
    REQUIRE(each.has_error());
    CHECK(all[index].catches(each.error()));
    try {
      std::rethrow_exception(each.error());
    } catch (const task_error& where) {
      CHECK(where.index() == index);
      CHECK(where.type_name().find("std::") == 0);
    }
    ++index;
  }
  CHECK(index == all.size());
}

TEST_CASE("a system error keeps its code") {
  ON_EVERY_ENGINE(engine);
  invoker inv(
      0, [](int, int number) { throw std::system_error(number, std::generic_category(), "cannot open"); }, on(engine));
  try {
    std::ignore = inv.map(std::vector{ENOENT}).collect();
    CHECK(false);
  } catch (const std::system_error& error) {
    CHECK(error.code() == std::errc::no_such_file_or_directory);
    CHECK(std::string(error.what()) == "cannot open: No such file or directory");
  }
}

TEST_CASE("an exception of the user's own arrives as the standard type it derives from, or std::runtime_error") {
  ON_EVERY_ENGINE(engine);
  struct my_range_error : std::range_error {
    using std::range_error::range_error;
  };
  invoker inv(
      0,
      [](int, int kind) {
        if (kind == 0) throw my_range_error("mine");
        if (kind == 1) throw odd_number();
        if (kind == 2) throw 42;
        throw std::string("text");
      },
      on(engine));
  const auto outcomes = inv.map_outcomes(std::views::iota(0, 4)).collect();
  const auto thrown = [&](std::size_t i) { outcomes.at(i).value(); };
  CHECK_THROWS_AS(thrown(0), std::range_error);
  for (const std::size_t i : {1U, 2U, 3U}) CHECK_THROWS_AS(thrown(i), std::runtime_error);
  CHECK(lenskit::tests::message_of([&] { thrown(0); }) == "mine");
  CHECK(lenskit::tests::message_of([&] { thrown(1); }) == "an odd number");
  try {
    thrown(2);
  } catch (const task_error& where) {
    CHECK(where.type_name() == "int");
    CHECK(where.index() == 2);
  }
}

TEST_CASE("a nested exception arrives nested") {
  ON_EVERY_ENGINE(engine);
  invoker inv(
      0,
      [](int, int) {
        try {
          throw std::out_of_range("inner");
        } catch (...) {
          std::throw_with_nested(std::runtime_error("outer"));
        }
      },
      on(engine));
  try {
    std::ignore = inv.map(std::vector{1}).collect();
    CHECK(false);
  } catch (const std::runtime_error& outer) {
    CHECK(std::string(outer.what()) == "outer");
    CHECK_THROWS_AS(std::rethrow_if_nested(outer), std::out_of_range);
  }
}

TEST_CASE("outcomes hold a value or an exception and nothing is thrown") {
  ON_EVERY_ENGINE(engine);
  invoker inv(0, refuse_odd, on(engine));
  int index = 0;
  for (const lenskit::outcome<int>& each : inv.map_outcomes(std::views::iota(0, 40))) {
    CHECK(each.has_value() == (index % 2 == 0));
    if (each.has_value()) CHECK(*each == index);
    ++index;
  }
  CHECK(index == 40);
}

TEST_CASE("failures among many results that are plain numbers stay at their places") {
  ON_EVERY_ENGINE(engine);
  const auto chunk_size = GENERATE(std::size_t{0}, std::size_t{1000});
  const int step = GENERATE(2, 700);
  auto options = on(engine);
  options.chunk_size = chunk_size;
  invoker inv(
      0,
      [step](int, int x) {
        if (x % step == 1) throw std::out_of_range(std::to_string(x));
        return x;
      },
      options);
  auto results = inv.map(std::views::iota(0, 20'000));
  int index = 0;
  const auto go_on = [&] {
    for (const int each : results) {
      if (each != index) return false;
      ++index;
    }
    return true;
  };
  for (;;) {
    try {
      const bool in_order = go_on();
      REQUIRE(in_order);
      break;
    } catch (const std::out_of_range& error) {
      REQUIRE(error.what() == std::to_string(index));
      ++index;
    }
  }
  CHECK(index == 20'000);
}

TEST_CASE("outcomes may hold what could be made from an exception") {
  ON_EVERY_ENGINE(engine);
  invoker inv(
      0, [](int, int x) { return refuse_odd(0, x) % 4 == 0; }, on(engine));
  int index = 0;
  for (const lenskit::outcome<bool>& each : inv.map_outcomes(std::views::iota(0, 12))) {
    REQUIRE(each.has_value() == (index % 2 == 0));
    if (each.has_value()) CHECK(*each == (index % 4 == 0));
    ++index;
  }
  CHECK(index == 12);
  invoker exceptions(
      0, [](int, int x) { return std::optional<bool>(refuse_odd(0, x) == 0); }, on(engine));
  std::size_t failed = 0;
  for (const auto& each : exceptions.as_completed(std::views::iota(0, 12))) failed += each.result.has_error();
  CHECK(failed == 6);
}

TEST_CASE("completions bring each index exactly once, with its own outcome") {
  ON_EVERY_ENGINE(engine);
  const int count = GENERATE(0, 1, 1000);
  invoker inv(0, refuse_odd, on(engine, 3));
  std::vector<int> seen(static_cast<std::size_t>(count));
  for (const lenskit::completed<int>& each : inv.as_completed(std::views::iota(0, count))) {
    ++seen.at(each.index);
    REQUIRE(each.result.has_value() == (each.index % 2 == 0));
    if (each.result.has_value()) REQUIRE(*each.result == static_cast<int>(each.index));
  }
  CHECK(std::ranges::all_of(seen, [](int times) { return times == 1; }));
}

TEST_CASE("completions come as tasks finish") {
  ON_ENGINES_WITH_WORKERS(engine);
  invoker inv(
      0,
      [](int, int x) {
        if (x == 0) std::this_thread::sleep_for(std::chrono::milliseconds(300));
        return x;
      },
      on(engine, 2));
  std::vector<std::size_t> order;
  for (const auto& each : inv.as_completed(std::views::iota(0, 12))) order.push_back(each.index);
  CHECK(order.size() == 12);
  CHECK(order.front() != 0);
}
