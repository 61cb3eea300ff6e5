#include <lenskit/detail/wire/codec.hpp>
#include <lenskit/detail/wire/exception.hpp>
#include <lenskit/error.hpp>

#include <support/catch.hpp>

#include <any>
#include <chrono>
#include <exception>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <typeinfo>
#include <variant>
#include <vector>

using namespace lenskit;

namespace {

constexpr std::size_t some_index = 17;
constexpr pid_t some_worker = 4711;

std::exception_ptr cross(const std::exception_ptr& thrown) {
  detail::writer out;
  detail::encode_exception(out, thrown);
  detail::reader in(out.data(), out.size());
  auto arrived = detail::decode_exception(in, some_index, some_worker);
  CHECK(in.left() == 0);
  return arrived;
}

/// What arrives when `original` was thrown, as the type that a user would catch.
template <class Expected, class Original>
void check_arrives_as(const Original& original, const std::string& type_name) {
  CAPTURE(type_name);
  bool caught = false;
  try {
    std::rethrow_exception(cross(std::make_exception_ptr(original)));
  } catch (const Expected& arrived) {
    caught = true;
    CHECK(std::string(arrived.what()) == original.what());
    const auto* where = dynamic_cast<const task_error*>(&arrived);
    REQUIRE(where != nullptr);
    CHECK(where->index() == some_index);
    CHECK(where->worker_pid() == some_worker);
    CHECK(where->type_name() == type_name);
    CHECK(where->message() == original.what());
  } catch (...) {}
  CHECK(caught);
}

template <class Type>
void check_keeps_type(const Type& original, const std::string& type_name) {
  check_arrives_as<Type>(original, type_name);
}

struct too_deep : std::out_of_range {
  using std::out_of_range::out_of_range;
};
struct bare : std::exception {
  const char* what() const noexcept override { return "bare text"; }
};
struct no_text : std::runtime_error {
  no_text() : std::runtime_error("") {}
  const char* what() const noexcept override { return nullptr; }
};
struct throws_when_copied : std::logic_error {
  throws_when_copied() : std::logic_error("do not copy") {}
  throws_when_copied(const throws_when_copied& other) : std::logic_error(other) { throw 1; }
};
struct alien {
  int planet = 4;
};

class my_category : public std::error_category {
 public:
  const char* name() const noexcept override { return "my"; }
  std::string message(int value) const override { return "my error " + std::to_string(value); }
};
const my_category the_category;

template <class Thrown>
std::exception_ptr caught(Thrown&& thrown) {
  return std::make_exception_ptr(std::forward<Thrown>(thrown));
}

// As std::make_exception_ptr, for what cannot be copied.
std::exception_ptr thrown_in_place() {
  try {
    throw throws_when_copied();
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace

TEST_CASE("standard exceptions keep their type, text and origin", "[wire]") {
  check_keeps_type(std::logic_error("a"), "std::logic_error");
  check_keeps_type(std::invalid_argument("b"), "std::invalid_argument");
  check_keeps_type(std::domain_error("c"), "std::domain_error");
  check_keeps_type(std::length_error("d"), "std::length_error");
  check_keeps_type(std::out_of_range("e"), "std::out_of_range");
  check_keeps_type(std::runtime_error("f"), "std::runtime_error");
  check_keeps_type(std::range_error("g"), "std::range_error");
  check_keeps_type(std::overflow_error("h"), "std::overflow_error");
  check_keeps_type(std::underflow_error("i"), "std::underflow_error");
  check_keeps_type(std::bad_alloc(), "std::bad_alloc");
  check_keeps_type(std::bad_array_new_length(), "std::bad_array_new_length");
  check_keeps_type(std::bad_cast(), "std::bad_cast");
  check_keeps_type(std::bad_typeid(), "std::bad_typeid");
  check_keeps_type(std::bad_function_call(), "std::bad_function_call");
  check_keeps_type(std::bad_optional_access(), "std::bad_optional_access");
  check_keeps_type(std::bad_variant_access(), "std::bad_variant_access");
  check_keeps_type(std::bad_weak_ptr(), "std::bad_weak_ptr");
  check_keeps_type(std::bad_any_cast(), "std::bad_any_cast");
  check_keeps_type(std::bad_exception(), "std::bad_exception");
}

TEST_CASE("exceptions with an error code keep the code", "[wire]") {
  const auto enoent = std::make_error_code(std::errc::no_such_file_or_directory);
  check_keeps_type(std::system_error(enoent, "open x"), "std::system_error");
  check_keeps_type(std::future_error(std::future_errc::no_state), "std::future_error");
  check_keeps_type(std::regex_error(std::regex_constants::error_brack), "std::regex_error");
  check_arrives_as<std::ios_base::failure>(std::ios_base::failure("disk"), "std::ios_base::failure[abi:cxx11]");
  check_keeps_type(std::filesystem::filesystem_error("copy", "/a", "/b", enoent),
                   "std::filesystem::__cxx11::filesystem_error");

  try {
    std::rethrow_exception(cross(caught(std::filesystem::filesystem_error("copy", "/a", "/b", enoent))));
  } catch (const std::filesystem::filesystem_error& e) {
    CHECK(e.path1() == "/a");
    CHECK(e.path2() == "/b");
    CHECK(e.code() == std::errc::no_such_file_or_directory);
  }
  try {
    std::rethrow_exception(cross(caught(std::regex_error(std::regex_constants::error_brack))));
  } catch (const std::regex_error& e) {
    CHECK(e.code() == std::regex_constants::error_brack);
  }
  try {
    std::rethrow_exception(cross(caught(std::future_error(std::future_errc::no_state))));
  } catch (const std::future_error& e) {
    CHECK(e.code() == std::future_errc::no_state);
  }
}

TEST_CASE("a user's error category is the same object again", "[wire]") {
  try {
    std::rethrow_exception(cross(caught(std::system_error(5, the_category))));
    FAIL("nothing was thrown");
  } catch (const std::system_error& e) {
    CHECK(e.code().category() == the_category);
    CHECK(e.code().value() == 5);
    CHECK(std::string(e.what()) == "my error 5");
  }
}

TEST_CASE("a category that is not to be found has at least its name", "[wire]") {
  const auto on_heap = std::make_unique<my_category>();
  try {
    std::rethrow_exception(cross(caught(std::system_error(5, *on_heap))));
    FAIL("nothing was thrown");
  } catch (const std::system_error& e) {
    CHECK(e.code().category() != *on_heap);
    CHECK(std::string(e.code().category().name()) == "my");
    CHECK(std::string(e.what()) == "my error 5");
  }
}

TEST_CASE("the library's own exceptions keep their type", "[wire]") {
  check_keeps_type(serialization_error("a"), "lenskit::serialization_error");
  check_keeps_type(persist_error("b"), "lenskit::persist_error");
  check_keeps_type(settings_error("c"), "lenskit::settings_error");
  check_keeps_type(invoker_closed("d"), "lenskit::invoker_closed");
  check_keeps_type(broken_pool("e", {"cause"}), "lenskit::broken_pool");
  check_arrives_as<persist_error>(no_space(1, 2, "/dev/shm"), "lenskit::no_space");
}

TEST_CASE("a user's exception arrives as the nearest standard one", "[wire]") {
  check_arrives_as<std::out_of_range>(too_deep("42 levels"), "(anonymous namespace)::too_deep");
  check_arrives_as<std::runtime_error>(bare(), "(anonymous namespace)::bare");
}

TEST_CASE("what is no std::exception arrives as std::runtime_error with what is known of it", "[wire]") {
  const auto text_of = [](const std::exception_ptr& thrown) -> std::pair<std::string, std::string> {
    try {
      std::rethrow_exception(cross(thrown));
    } catch (const std::runtime_error& e) {
      return {dynamic_cast<const task_error&>(e).type_name(), e.what()};
    }
  };
  using texts = std::pair<std::string, std::string>;
  CHECK(text_of(caught(42)) == texts("int", "42"));
  CHECK(text_of(caught(std::string("text"))) == texts("std::string", "text"));
  CHECK(text_of(caught(static_cast<const char*>("chars"))) == texts("char const*", "chars"));
  CHECK(text_of(caught(alien())) ==
        texts("(anonymous namespace)::alien", "an exception of type (anonymous namespace)::alien"));
  CHECK(text_of(caught(no_text())) == texts("(anonymous namespace)::no_text", ""));
}

TEST_CASE("an exception that cannot be copied crosses all the same", "[wire]") {
  CHECK_THROWS_WITH(std::rethrow_exception(cross(thrown_in_place())), "do not copy");
  CHECK_THROWS_AS(std::rethrow_exception(cross(thrown_in_place())), std::logic_error);
}

TEST_CASE("nested exceptions arrive nested", "[wire]") {
  std::exception_ptr outer;
  try {
    try {
      try {
        throw 3;
      } catch (...) {
        std::throw_with_nested(std::out_of_range("middle"));
      }
    } catch (...) {
      std::throw_with_nested(std::invalid_argument("outer"));
    }
  } catch (...) {
    outer = std::current_exception();
  }
  std::string seen;
  const auto unwind = [&](auto& self, const std::exception& e) -> void {
    seen += dynamic_cast<const task_error&>(e).type_name() + ": " + e.what() + "; ";
    try {
      std::rethrow_if_nested(e);
    } catch (const std::exception& inner) {
      self(self, inner);
    }
  };
  try {
    std::rethrow_exception(cross(outer));
  } catch (const std::invalid_argument& e) {
    unwind(unwind, e);
  }
  CHECK(seen == "std::invalid_argument: outer; std::out_of_range: middle; int: 3; ");
}

TEST_CASE("an exception that crosses twice still names its first type", "[wire]") {
  try {
    std::rethrow_exception(cross(cross(caught(too_deep("deep")))));
  } catch (const std::out_of_range& e) {
    CHECK(std::string(e.what()) == "deep");
    CHECK(dynamic_cast<const task_error&>(e).type_name() == "(anonymous namespace)::too_deep");
  }
}

TEST_CASE("bytes that describe no exception arrive as a serialization_error with its origin", "[wire]") {
  detail::writer out;
  detail::encode_exception(out, caught(std::system_error(5, the_category, "text")));
  for (std::size_t size = 0; size < out.size(); ++size) {
    detail::reader in(out.data(), size);
    const auto arrived = detail::decode_exception(in, some_index, some_worker);
    CHECK_THROWS_AS(std::rethrow_exception(arrived), serialization_error);
    CHECK_THROWS_AS(std::rethrow_exception(arrived), task_error);
  }
  std::vector<std::byte> damaged(out.data(), out.data() + out.size());
  for (std::size_t bit = 0; bit < damaged.size() * 8; ++bit) {
    damaged[bit / 8] ^= std::byte{1} << (bit % 8);
    detail::reader in(damaged);
    CHECK_THROWS_AS(std::rethrow_exception(detail::decode_exception(in, some_index, some_worker)), std::exception);
    damaged[bit / 8] ^= std::byte{1} << (bit % 8);
  }
}

TEST_CASE("V5: the library's own exceptions keep their fields", "[wire]") {
  const auto arrived_as = [](auto original) {
    using type = decltype(original);
    try {
      std::rethrow_exception(cross(cross(std::make_exception_ptr(original))));  // from a pool within a pool
    } catch (const type& arrived) {
      CHECK(std::string(arrived.what()) == original.what());
      const auto* where = dynamic_cast<const task_error*>(&arrived);
      REQUIRE(where != nullptr);
      CHECK(where->index() == some_index);
      CHECK(where->message() == original.what());
      return arrived;
    }
  };
  const auto full = arrived_as(no_space(100, 7, "/dev/shm"));
  CHECK(full.needed() == 100);
  CHECK(full.available() == 7);
  CHECK(full.where() == "/dev/shm");

  const death_report report{.status = {.signal = 11, .core_dumped = true, .stopped = true, .peak_memory = 4096},
                            .probably_out_of_memory = true,
                            .elapsed = std::chrono::seconds(2),
                            .log_tail = {"one", "two"}};
  const auto death = arrived_as(worker_died({3, 99, {}, {}, "# 0 frame"}, report));
  CHECK(death.signal() == 11);
  CHECK(!death.exit_code());
  CHECK(death.core_dumped());
  CHECK(death.probably_out_of_memory());
  CHECK(death.stopped());
  CHECK(death.elapsed() == std::chrono::seconds(2));
  CHECK(death.peak_memory() == 4096);
  CHECK(death.log_tail() == std::vector<std::string>{"one", "two"});
  CHECK(death.stack() == "# 0 frame");
  CHECK(death.type_name() == "lenskit::worker_died");

  CHECK(arrived_as(task_timeout({3, 99, {}, {}, {}}, std::chrono::milliseconds(250))).limit() ==
        std::chrono::milliseconds(250));
  arrived_as(task_cancelled({3, 99, {}, {}, {}}));
  CHECK(arrived_as(broken_pool("workers keep dying", {"one", "two"})).causes() ==
        std::vector<std::string>{"one", "two"});
  arrived_as(fork_refused("a driver is loaded"));
  arrived_as(settings_error("LK_NUM_CPUS"));
  arrived_as(persist_error("damaged"));
  arrived_as(serialization_error("damaged"));
  arrived_as(invoker_closed("moved from"));
}

TEST_CASE("V5: what one of the library's own exceptions answers to arrives with it", "[wire]") {
  std::exception_ptr nested;
  try {
    try {
      throw std::invalid_argument("inner");
    } catch (...) {
      std::throw_with_nested(worker_died({}, {.status = {.exit_code = 3}}));
    }
  } catch (...) {
    nested = cross(std::current_exception());
  }
  try {
    std::rethrow_exception(nested);
  } catch (const worker_died& arrived) {
    CHECK(arrived.exit_code() == 3);
    CHECK_THROWS_AS(std::rethrow_if_nested(arrived), std::invalid_argument);
  }
}
